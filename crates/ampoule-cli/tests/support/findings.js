// Finds accessibility problems of a page, and returns each as a line. The rules are those of WCAG 2.2 that a
// program can decide.
const findings = [];
const say = (rule, element, more) =>
  findings.push(`${rule}: <${element.tagName.toLowerCase()}${element.id ? ' id=' + element.id : ''}> ${more || ''} ${element.textContent.trim().slice(0, 40)}`);
const all = selector => [...document.querySelectorAll(selector)];
const root = document.documentElement;
const isShown = element => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length > 0;

if (!root.lang || !['ltr', 'rtl'].includes(root.dir)) say('lang and dir', root);
if (!/^\S.* – Ampoule$/.test(document.title)) say('title', root, document.title);
if (all('h1').length !== 1) say('one h1', root);
if (all('main').length !== 1) say('one main', root);
if (!document.querySelector('link[rel=icon]')) say('icon', root);
if (document.scripts.length || all('*').some(element => [...element.attributes].some(one => /^on/i.test(one.name)))) say('scripts', root);
if (root.scrollWidth > root.clientWidth) say('wider than the screen', root, `${root.scrollWidth} > ${root.clientWidth}`);
for (const element of all('body *')) {
  if (!element.closest('header, main, footer')) say('landmark', element);
}
let level = 0;
for (const heading of all('h1, h2, h3, h4')) {
  const now = Number(heading.tagName[1]);
  if (now > level + 1) say('heading order', heading);
  level = now;
}
const ids = all('[id]').map(element => element.id);
ids.filter((id, index) => ids.indexOf(id) !== index).forEach(id => say('id twice', document.getElementById(id)));
for (const element of all('input:not([type=hidden]), select, textarea')) {
  if (!(element.labels || []).length && !element.ariaLabel) say('label', element, element.name);
}
for (const element of all('a, button, summary, svg[role=img], th')) {
  if (!(element.getAttribute('aria-label') || element.textContent).trim()) say('name', element);
}
for (const element of all('svg:not([role=img])')) {
  if (element.getAttribute('aria-hidden') !== 'true') say('picture', element);
}
for (const element of all('th')) if (!element.scope) say('scope', element);
for (const element of all('button, input:not([type=hidden])')) {
  const box = (element.type === 'checkbox' ? element.closest('label') : element).getBoundingClientRect();
  if (box.height < 24 || box.width < 24) say('size of a target', element, `${box.width} x ${box.height}`);
}

const rgb = text => text.match(/[\d.]+/g).map(Number);
const luminance = color => color.slice(0, 3).map(part => part / 255)
  .map(part => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
const contrast = (one, other) => {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
const isOpaque = color => color.length < 4 || color[3] === 1;
const ground = element => {
  for (let one = element; one; one = one.parentElement) {
    const color = rgb(getComputedStyle(one).backgroundColor);
    if (isOpaque(color)) return color;
  }
  return [255, 255, 255];
};
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = texts.nextNode(); node; node = texts.nextNode()) {
  const element = node.parentElement;
  if (!node.textContent.trim() || element.closest('style') || !isShown(element)) continue;
  const style = getComputedStyle(element);
  const size = parseFloat(style.fontSize);
  const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const found = contrast(rgb(style.color), ground(element));
  if (found < (isLarge ? 3 : 4.5)) say('contrast of text', element, found.toFixed(2));
}
// The outline of what can be used: its border, or else its own ground, against what lies around it.
for (const element of all('input[type=text], button')) {
  const style = getComputedStyle(element);
  if (element.closest('.languages')) continue;
  const around = ground(element.parentElement);
  const colors = [style.borderTopColor, style.backgroundColor].map(rgb).filter(isOpaque);
  const found = Math.max(...colors.map(color => contrast(color, around)));
  if (!(found >= 3)) say('contrast of an outline', element, found.toFixed(2));
}
for (const element of all('.lanes circle')) {
  const style = getComputedStyle(element);
  const found = contrast(rgb(style.stroke), ground(element.closest('figure')));
  if (found < 3) { say('contrast of a dot', element, found.toFixed(2)); break; }
}
return findings.join('\n');
