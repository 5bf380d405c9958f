//! Route table: takes handlers by method and path, gives the router and the list of what it serves.
//!
//! **Invariant:** a handler is registered and listed by the same call. Only this file makes routers of routes, and
//! a listener serves tables alone, so the list cannot leave out a route that is served.
//! **Invariant:** a handler that has not said what it takes and gives is [`Silent`], which no table takes.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter};
use http::Method;

use crate::app::Shared;
use crate::openapi::Operation;

/// A route an issuer serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where it is served.
    pub listener: Listener,
    /// How it is called; `GET` answers `HEAD` too.
    pub method: Method,
    /// Its path, with `{names}` for what varies.
    pub path: String,
}

/// One of the two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// For services and customers.
    Public,
    /// For operators.
    Operators,
}

/// A route, and what it says of itself.
pub(crate) struct Described {
    pub(crate) route: Route,
    pub(crate) operation: Operation,
}

/// Routes and their list.
#[derive(Default)]
pub(crate) struct RouteTable {
    router: Router<Shared>,
    listed: Vec<(Listed, String)>,
}

impl RouteTable {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Serves `methods` at `path`.
    pub(crate) fn route(mut self, path: &str, methods: Methods) -> Self {
        for listed in methods.listed {
            self.listed.push((listed, path.to_owned()));
        }
        self.router = self.router.route(path, methods.router);
        self
    }

    /// Serves what `other` serves too.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.listed.extend(other.listed);
        self.router = self.router.merge(other.router);
        self
    }

    /// The router alone.
    pub(crate) fn into_router(self) -> Router<Shared> {
        self.router
    }

    /// What is served, under `prefix`.
    pub(crate) fn listing(&self, listener: Listener, prefix: &str) -> Vec<Described> {
        let routes = self.listed.iter().map(|(listed, path)| Described {
            route: Route {
                listener,
                method: listed.method.clone(),
                path: format!("{prefix}{path}"),
            },
            operation: listed.operation.clone(),
        });
        routes.collect()
    }
}

/// The handlers of one path, by method.
#[derive(Default)]
pub(crate) struct Methods {
    router: MethodRouter<Shared>,
    listed: Vec<Listed>,
}

/// Handlers whose last is still to say what it takes and gives.
#[must_use]
pub(crate) struct Silent {
    methods: Methods,
    method: Method,
}

struct Listed {
    method: Method,
    operation: Operation,
}

macro_rules! methods {
    ($($name:ident, $method:ident;)+) => {
        /// Begins the handlers of a path, as `axum::routing` does.
        pub(crate) mod routing {
            #![allow(dead_code, reason = "one function a method, used or not")]

            use axum::handler::Handler;

            use super::{Methods, Silent};
            use crate::app::Shared;

            $(pub(crate) fn $name<H: Handler<T, Shared>, T: 'static>(handler: H) -> Silent {
                Methods::default().$name(handler)
            })+
        }

        #[allow(dead_code, reason = "one function a method, used or not")]
        impl Methods {
            $(pub(crate) fn $name<H: Handler<T, Shared>, T: 'static>(self, handler: H) -> Silent {
                self.on(Method::$method, MethodFilter::$method, handler)
            })+
        }
    };
}

methods! {
    get, GET;
    post, POST;
    put, PUT;
    patch, PATCH;
    delete, DELETE;
}

impl Methods {
    fn on<H: Handler<T, Shared>, T: 'static>(
        mut self,
        method: Method,
        filter: MethodFilter,
        handler: H,
    ) -> Silent {
        self.router = self.router.on(filter, handler);
        Silent {
            methods: self,
            method,
        }
    }
}

impl Silent {
    /// What the handler named last takes and gives.
    pub(crate) fn says(mut self, operation: Operation) -> Methods {
        self.methods.listed.push(Listed {
            method: self.method,
            operation,
        });
        self.methods
    }
}
