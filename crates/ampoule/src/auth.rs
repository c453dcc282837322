//! Protected routes, the page after a login, and the user of a request. For axum.

mod next_page;
mod refusal;
mod require_login;
#[cfg(feature = "throttle")]
mod throttle;
mod users;

pub use self::next_page::NextPage;
pub use self::require_login::{RequireLogin, RequireLoginService};
#[cfg(feature = "throttle")]
pub use self::throttle::attempt::{KnownDevice, LoginAttempt, LoginAttempts, LoginRefused};
#[cfg(feature = "throttle")]
pub use self::throttle::{FindAddress, LoginThrottle, LoginThrottleOptions, LoginThrottleService};
pub use self::users::{User, UserLayer, UserService, Users};
