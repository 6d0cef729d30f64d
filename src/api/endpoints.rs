//! Which scope each endpoint needs.

use std::collections::HashMap;
use std::sync::Arc;

use crate::access::{Catalogue, MalformedName, Scope, ScopeBit};
use crate::error::Coded;
use crate::id::ProjectId;

/// The most segments of a template.
pub const MAX_SEGMENTS: usize = 32;

/// What a request needs of a key: a scope, and perhaps one project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Need {
    pub(super) scope: Option<ScopeBit>,
    pub(super) project: Option<ProjectId>,
}

impl Need {
    /// Of an endpoint that nobody mapped: no key has it. Every request with this need is refused.
    pub const UNMAPPED: Self = Self { scope: None, project: None };

    /// This scope, in whichever project the key is of.
    #[must_use]
    pub const fn scope(scope: ScopeBit) -> Self {
        Self { scope: Some(scope), project: None }
    }

    /// The same, in this project: keys of other projects are told that it does not exist.
    #[must_use]
    pub const fn in_project(self, project: ProjectId) -> Self {
        Self { project: Some(project), ..self }
    }
}

/// Which scope each endpoint needs. Built once, at start-up. What is not in it is refused.
///
/// A template is a path whose segments are literal or `{name}`, which stands for one segment that is not empty,
/// `.` or `..`. A literal segment goes before `{name}`, the leftmost deciding. Paths are compared byte by byte:
/// nothing is decoded, lowered or tidied, so a spelling that a router takes for the same endpoint is refused
/// here rather than taken for another one. A service whose router tells which template matched should ask by
/// that template: [`Endpoints::of_template`].
#[derive(Clone, Debug)]
pub struct Endpoints {
    catalogue: Arc<Catalogue>,
    root: Node,
    /// By method, then template as it was written.
    templates: HashMap<String, HashMap<String, Need>>,
}

/// Collects endpoints. Errors wait until [`EndpointsBuilder::build`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct EndpointsBuilder {
    routes: Vec<(String, String, String)>,
}

/// Why endpoints cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The text is no name of a scope.
    #[error("{method} {path}: {scope:?} is no name of a scope: {why}")]
    MalformedScope {
        /// The endpoint's method.
        method: String,
        /// The endpoint's template.
        path: String,
        /// The text.
        scope: String,
        /// What is wrong with it.
        why: MalformedName,
    },
    /// The catalogue has no such scope.
    #[error("{method} {path}: the catalogue has no scope {scope}")]
    UnknownScope {
        /// The endpoint's method.
        method: String,
        /// The endpoint's template.
        path: String,
        /// The scope.
        scope: Scope,
    },
    /// The method is not 1 to 32 upper-case letters.
    #[error("{path}: {method:?} is no method")]
    Method {
        /// The text.
        method: String,
        /// The endpoint's template.
        path: String,
    },
    /// The template does not begin with `/`, has more than [`MAX_SEGMENTS`] segments, a `?` or `#`, or braces
    /// that do not stand around a whole segment.
    #[error("{method} {path}: not a path template")]
    Template {
        /// The endpoint's method.
        method: String,
        /// The text.
        path: String,
    },
    /// The same endpoint twice, whatever its segments are called.
    #[error("{method} {path} is given twice")]
    Duplicate {
        /// The endpoint's method.
        method: String,
        /// The endpoint's template.
        path: String,
    },
}

impl Coded for EndpointError {
    fn code(&self) -> &'static str {
        match self {
            Self::MalformedScope { .. } => "endpoint_malformed_scope",
            Self::UnknownScope { .. } => "endpoint_unknown_scope",
            Self::Method { .. } => "endpoint_method",
            Self::Template { .. } => "endpoint_template",
            Self::Duplicate { .. } => "endpoint_duplicate",
        }
    }
}

impl Endpoints {
    /// Starts an empty mapping.
    pub fn builder() -> EndpointsBuilder {
        EndpointsBuilder::default()
    }

    /// What a request needs; `None` when nobody mapped the endpoint. `path` is without query. `HEAD` needs what
    /// `GET` needs, unless it is mapped itself (RFC 9110, section 9.3.2: it is `GET` without the content).
    #[must_use]
    pub fn lookup(&self, method: &str, path: &str) -> Option<Need> {
        self.root.find(path.strip_prefix('/')?.split('/'))?.need(method)
    }

    /// The same as a need: [`Need::UNMAPPED`] when nobody mapped the endpoint, so that it is refused.
    #[must_use]
    pub fn need(&self, method: &str, path: &str) -> Need {
        self.lookup(method, path).unwrap_or(Need::UNMAPPED)
    }

    /// The need of an endpoint by its template, exactly as it was given to the builder; [`Need::UNMAPPED`] when
    /// there is no such template.
    #[must_use]
    pub fn of_template(&self, method: &str, template: &str) -> Need {
        let of =
            |method: &str| self.templates.get(method).and_then(|templates| templates.get(template)).copied();
        of(method).or_else(|| if method == "HEAD" { of("GET") } else { None }).unwrap_or(Need::UNMAPPED)
    }

    /// The need of one scope, for a service that finds its endpoints in its own way.
    #[must_use]
    pub fn need_for_scope(&self, scope: &Scope) -> Option<Need> {
        self.catalogue.scope_bit(scope).map(Need::scope)
    }
}

impl EndpointsBuilder {
    /// Maps an endpoint: its method, its template, the name of the scope it needs.
    pub fn route(mut self, method: &str, template: &str, scope: &str) -> Self {
        self.routes.push((method.to_owned(), template.to_owned(), scope.to_owned()));
        self
    }

    /// Compiles the mapping. The catalogue is the one that the door is built with.
    ///
    /// # Errors
    /// [`EndpointError`] names the first endpoint that cannot stand.
    pub fn build(self, catalogue: &Arc<Catalogue>) -> Result<Endpoints, EndpointError> {
        let mut root = Node::default();
        let mut templates: HashMap<String, HashMap<String, Need>> = HashMap::new();
        for (method, path, scope) in self.routes {
            if !(1..=32).contains(&method.len()) || !method.bytes().all(|c| c.is_ascii_uppercase()) {
                return Err(EndpointError::Method { method, path });
            }
            let name = match Scope::parse(&scope) {
                Ok(name) => name,
                Err(why) => return Err(EndpointError::MalformedScope { method, path, scope, why }),
            };
            let Some(bit) = catalogue.scope_bit(&name) else {
                return Err(EndpointError::UnknownScope { method, path, scope: name });
            };
            let Some(segments) = read_template(&path) else {
                return Err(EndpointError::Template { method, path });
            };
            let node = segments.into_iter().fold(&mut root, Node::child);
            if node.needs.iter().any(|(known, _)| *known == method) {
                return Err(EndpointError::Duplicate { method, path });
            }
            node.needs.push((method.clone(), Need::scope(bit)));
            templates.entry(method).or_default().insert(path, Need::scope(bit));
        }
        Ok(Endpoints { catalogue: Arc::clone(catalogue), root, templates })
    }
}

/// A segment of a template.
enum Segment {
    Literal(String),
    /// `{name}`
    Any,
}

/// One segment's place in the tree of templates.
#[derive(Clone, Debug, Default)]
struct Node {
    literal: HashMap<String, Node>,
    any: Option<Box<Node>>,
    /// By method: what ends here.
    needs: Vec<(String, Need)>,
}

impl Node {
    fn child(&mut self, segment: Segment) -> &mut Self {
        match segment {
            Segment::Literal(literal) => self.literal.entry(literal).or_default(),
            Segment::Any => self.any.get_or_insert_default(),
        }
    }

    /// Visits no node twice, so the work is bounded by the tree.
    fn find<'p>(&self, mut segments: impl Iterator<Item = &'p str> + Clone) -> Option<&Self> {
        let Some(segment) = segments.next() else {
            return (!self.needs.is_empty()).then_some(self);
        };
        // As deep as a template is long.
        let literal = self.literal.get(segment).and_then(|node| node.find(segments.clone()));
        literal.or_else(|| {
            let any = self.any.as_ref().filter(|_| !matches!(segment, "" | "." | ".."))?;
            any.find(segments)
        })
    }

    fn need(&self, method: &str) -> Option<Need> {
        let of = |method: &str| self.needs.iter().find(|(known, _)| known == method).map(|(_, need)| *need);
        of(method).or_else(|| if method == "HEAD" { of("GET") } else { None })
    }
}

fn read_template(path: &str) -> Option<Vec<Segment>> {
    if path.contains(['?', '#']) {
        return None;
    }
    let segments: Option<Vec<_>> = path.strip_prefix('/')?.split('/').map(read_segment).collect();
    segments.filter(|segments| segments.len() <= MAX_SEGMENTS)
}

fn read_segment(segment: &str) -> Option<Segment> {
    let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let plain = |text: &str| !text.contains(['{', '}']);
    match name {
        Some(name) => (!name.is_empty() && !name.starts_with('*') && plain(name)).then_some(Segment::Any),
        None => plain(segment).then(|| Segment::Literal(segment.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Arc<Catalogue> {
        let builder =
            Catalogue::builder().scope("models.read", None, "").scope("completions.create", None, "");
        Arc::new(builder.build().unwrap())
    }

    fn need(catalogue: &Catalogue, scope: &str) -> Option<Need> {
        catalogue.scope_bit(&scope.parse().unwrap()).map(Need::scope)
    }

    #[test]
    fn an_endpoint_that_nobody_mapped_needs_what_no_key_has() {
        let catalogue = catalogue();
        let endpoints = Endpoints::builder()
            .route("GET", "/v1/models", "models.read")
            .route("GET", "/v1/models/{id}", "models.read")
            .route("POST", "/v1/models/special", "completions.create")
            .route("POST", "/v1/{any}/{id}", "completions.create")
            .build(&catalogue)
            .unwrap();
        let (read, create) = (need(&catalogue, "models.read"), need(&catalogue, "completions.create"));
        for (method, path, expected) in [
            ("GET", "/v1/models", read),
            ("HEAD", "/v1/models", read),
            ("GET", "/v1/models/7", read),
            ("POST", "/v1/models/special", create),
            ("POST", "/v1/x/y", create),
            ("GET", "/v1/models/special", None),
            ("POST", "/v1/models", None),
            ("get", "/v1/models", None),
            ("GET", "/v1/models/", None),
            ("GET", "/v1/models/..", None),
            ("GET", "/v1//models", None),
            ("GET", "/V1/models", None),
            ("GET", "/v1/models/7/8", None),
            ("GET", "v1/models", None),
            ("GET", "/v1/models?key=1", None),
            ("GET", "", None),
        ] {
            assert_eq!(endpoints.lookup(method, path), expected, "{method} {path}");
            assert_eq!(endpoints.need(method, path), expected.unwrap_or(Need::UNMAPPED));
        }
        assert_eq!(Some(endpoints.of_template("HEAD", "/v1/models/{id}")), read);
        assert_eq!(endpoints.of_template("GET", "/v1/models/{other}"), Need::UNMAPPED);
    }

    #[test]
    fn mistakes_in_the_mapping_are_typed_and_found_at_start_up() {
        let build = |routes: &[(&str, &str, &str)]| {
            let builder = routes.iter().fold(Endpoints::builder(), |b, (m, p, s)| b.route(m, p, s));
            builder.build(&catalogue()).err().map(|why| why.code())
        };
        let scope = "models.read";
        assert_eq!(build(&[("GET", "/a", "models.write")]), Some("endpoint_unknown_scope"));
        assert_eq!(build(&[("GET", "/a", "models.*")]), Some("endpoint_malformed_scope"));
        assert_eq!(build(&[("get", "/a", scope)]), Some("endpoint_method"));
        for path in ["", "a", "/{", "/a{b}", "/{}", "/{*rest}", "/a?b", "/a#b"] {
            assert_eq!(build(&[("GET", path, scope)]), Some("endpoint_template"), "{path}");
        }
        assert_eq!(build(&[("GET", &"/a".repeat(MAX_SEGMENTS + 1), scope)]), Some("endpoint_template"));
        assert_eq!(build(&[("GET", "/a/{b}", scope), ("GET", "/a/{c}", scope)]), Some("endpoint_duplicate"));
        assert_eq!(build(&[("GET", "/a", scope), ("PUT", "/a", scope)]), None);
    }
}
