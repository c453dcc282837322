//! Protected routes, where a login leads to, and the user. For axum.

mod next_page;
mod refusal;
mod require_login;
mod users;

pub use self::next_page::NextPage;
pub use self::require_login::{RequireLogin, RequireLoginService};
pub use self::users::{User, UserLayer, UserService, Users};
