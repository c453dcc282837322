//! Reads the imports of a file, and the modules that it declares.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{File, Ident, ItemFn, ItemImpl, ItemMod, ItemUse, Path, UseTree};

use super::super::rust::{is_cfg_test, is_test};

/// One name of a `use` declaration, or a path in the code that starts with `crate` or `super`.
pub(super) struct Import {
    pub(super) line: usize,
    /// The module that contains it, from the crate's root.
    pub(super) within: Vec<String>,
    /// As written, without the braces; a glob ends with `*`, and `a::{self}` is `a`.
    pub(super) path: Vec<String>,
    /// The imported name in this module.
    pub(super) name: String,
    /// Whether it is a `use` declaration.
    pub(super) declared: bool,
    /// Whether it is compiled for tests only.
    pub(super) test: bool,
}

/// `mod name;` or `mod name { … }`.
pub(super) struct Module {
    pub(super) path: Vec<String>,
    pub(super) test: bool,
}

#[derive(Default)]
pub(super) struct Reader {
    within: Vec<String>,
    test: bool,
    pub(super) imports: Vec<Import>,
    pub(super) modules: Vec<Module>,
}

impl Reader {
    /// Reads the file of the module at this path.
    pub(super) fn read(file: &File, module: &[String]) -> Reader {
        let mut reader = Reader { within: module.to_owned(), ..Reader::default() };
        reader.visit_file(file);
        reader
    }

    fn tree(&mut self, tree: &UseTree, before: &[String], test: bool) {
        match tree {
            UseTree::Path(path) => self.tree(&path.tree, &joined(before, &path.ident), test),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before, test)),
            UseTree::Name(name) => self.leaf(name.ident.span(), joined(before, &name.ident), None, test),
            UseTree::Rename(name) => {
                self.leaf(name.ident.span(), joined(before, &name.ident), Some(&name.rename), test);
            }
            UseTree::Glob(glob) => {
                self.leaf(glob.star_token.span, [before, &["*".to_owned()]].concat(), None, test);
            }
        }
    }

    fn leaf(&mut self, span: Span, path: Vec<String>, rename: Option<&Ident>, test: bool) {
        let name = rename.map(Ident::to_string).or_else(|| path.last().cloned()).unwrap_or_default();
        let (within, test) = (self.within.clone(), self.test || test);
        self.imports.push(Import { line: span.start().line, within, path, name, declared: true, test });
    }

    /// Runs `walk`, and marks everything that it finds as test code if `test` is true.
    fn inside(&mut self, test: bool, walk: impl FnOnce(&mut Reader)) {
        let outside = self.test;
        self.test |= test;
        walk(self);
        self.test = outside;
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // A path that starts with `::` is always in another crate.
        if item.leading_colon.is_none() {
            self.tree(&item.tree, &[], is_cfg_test(&item.attrs));
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 && ["crate", "super"].contains(&names[0].as_str()) {
            self.imports.push(Import {
                line: path.segments[0].ident.span().start().line,
                within: self.within.clone(),
                name: names[names.len() - 1].clone(),
                path: names,
                declared: false,
                test: self.test,
            });
        }
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.inside(is_cfg_test(&item.attrs), |reader| {
            reader.within.push(item.ident.to_string());
            reader.modules.push(Module { path: reader.within.clone(), test: reader.test });
            visit::visit_item_mod(reader, item);
            reader.within.pop();
        });
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        let test = is_cfg_test(&item.attrs) || is_test(&item.attrs);
        self.inside(test, |reader| visit::visit_item_fn(reader, item));
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        self.inside(is_cfg_test(&item.attrs), |reader| visit::visit_item_impl(reader, item));
    }
}

/// Removes a final `self`: `a::{self}` is `a`.
fn joined(before: &[String], ident: &Ident) -> Vec<String> {
    if ident == "self" && !before.is_empty() { before.to_owned() } else { [before, &[ident.to_string()]].concat() }
}
