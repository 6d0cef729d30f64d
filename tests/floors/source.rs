//! Reads the crate: every module, and in each every path that it names.
//!
//! Items, expressions, types, patterns and attributes are walked with syn. What syn cannot parse (the tokens of a
//! macro call, strings such as serde's `with = "…"`) is searched for paths token by token.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A module's place, from the crate root: `["store", "contract"]`.
pub(crate) type Place = Vec<String>;

/// The modules of a crate.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) modules: BTreeMap<Place, Module>,
    /// What kept a file from being read.
    pub(crate) faults: Vec<String>,
}

/// What one module declares and names.
#[derive(Default)]
pub(crate) struct Module {
    pub(crate) children: BTreeSet<String>,
    pub(crate) items: BTreeSet<String>,
    /// Names that a `use` brings in, and what they stand for.
    pub(crate) aliases: BTreeMap<String, Mention>,
    pub(crate) globs: Vec<Mention>,
    pub(crate) mentions: Vec<Mention>,
}

/// A path as written.
#[derive(Clone, Debug)]
pub(crate) struct Mention {
    pub(crate) segments: Vec<String>,
    /// It begins with `::`, so its first segment is a crate.
    pub(crate) absolute: bool,
    /// It stands in a `use` or `extern crate`.
    pub(crate) import: bool,
    /// It stands in code that only tests compile.
    pub(crate) test: bool,
    /// File and line.
    pub(crate) at: String,
}

/// Reads the crate whose root is `src/lib.rs`. `load` answers a file's text.
pub(crate) fn read(load: &dyn Fn(&str) -> Option<String>) -> Source {
    let mut source = Source::default();
    Reader {
        source: &mut source,
        load,
        place: Vec::new(),
        file: "src/lib.rs".into(),
        tests: 0,
        attributes: 0,
    }
    .read_file();
    source
}

struct Reader<'a> {
    source: &'a mut Source,
    load: &'a dyn Fn(&str) -> Option<String>,
    place: Place,
    file: String,
    tests: usize,
    attributes: usize,
}

impl Reader<'_> {
    fn read_file(&mut self) {
        self.source.modules.entry(self.place.clone()).or_default();
        let Some(text) = (self.load)(&self.file) else {
            self.source.faults.push(format!("{}: there is no such file", self.file));
            return;
        };
        match syn::parse_file(&text) {
            Ok(file) => self.visit_file(&file),
            Err(error) => self.source.faults.push(format!("{}: {error}", self.file)),
        }
    }

    fn module(&mut self) -> &mut Module {
        self.source.modules.entry(self.place.clone()).or_default()
    }

    /// Runs `inside` in the child module `name`.
    fn within(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.module().children.insert(name.to_owned());
        self.place.push(name.to_owned());
        self.module();
        inside(self);
        self.place.pop();
    }

    fn mention(&self, segments: Vec<String>, absolute: bool, import: bool, line: usize) -> Mention {
        Mention { segments, absolute, import, test: self.tests > 0, at: format!("{}:{line}", self.file) }
    }

    fn record(&mut self, mention: Mention) {
        self.module().mentions.push(mention);
    }

    fn use_tree(&mut self, tree: &syn::UseTree, prefix: &[String], absolute: bool) {
        let with = |name: &syn::Ident| {
            let mut segments = prefix.to_vec();
            // `{self}` at the end of a path is the path.
            if prefix.is_empty() || name != "self" {
                segments.push(name.to_string());
            }
            segments
        };
        let (segments, name, line) = match tree {
            syn::UseTree::Path(path) => return self.use_tree(&path.tree, &with(&path.ident), absolute),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, prefix, absolute);
                }
                return;
            }
            syn::UseTree::Glob(glob) => {
                let line = glob.star_token.spans[0].start().line;
                let mention = self.mention(prefix.to_vec(), absolute, true, line);
                self.module().globs.push(mention.clone());
                return self.record(mention);
            }
            syn::UseTree::Name(name) => {
                let segments = with(&name.ident);
                (segments.clone(), segments.last().cloned(), name.ident.span().start().line)
            }
            syn::UseTree::Rename(rename) => {
                (with(&rename.ident), Some(rename.rename.to_string()), rename.ident.span().start().line)
            }
        };
        let mention = self.mention(segments, absolute, true, line);
        if let Some(name) = name {
            self.module().aliases.insert(name, mention.clone());
        }
        self.record(mention);
    }

    /// Finds paths in tokens.
    fn scan(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let colons = |i: usize| is_punct(tokens.get(i), ':') && is_punct(tokens.get(i + 1), ':');
        let mut i = 0;
        while let Some(token) = tokens.get(i) {
            i += 1;
            match token {
                TokenTree::Group(group) => self.scan(group.stream()),
                TokenTree::Literal(literal) if self.attributes > 0 => self.scan_text(&literal.to_string()),
                TokenTree::Ident(first) => {
                    if let (true, Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                        (first == "mod", tokens.get(i), tokens.get(i + 1))
                    {
                        let (name, body) = (name.to_string(), body.stream());
                        self.within(&name, |reader| reader.scan(body));
                        i += 2;
                        continue;
                    }
                    let start = i - 1;
                    let absolute = start >= 2
                        && colons(start - 2)
                        && !matches!(
                            start.checked_sub(3).and_then(|p| tokens.get(p)),
                            Some(TokenTree::Ident(_))
                        )
                        && !is_punct(start.checked_sub(3).and_then(|p| tokens.get(p)), '>');
                    let import = matches!(start.checked_sub(1 + 2 * usize::from(absolute)).and_then(|p| tokens.get(p)),
                        Some(TokenTree::Ident(word)) if word == "use");
                    let line = first.span().start().line;
                    let mut segments = vec![first.to_string()];
                    while colons(i)
                        && let Some(TokenTree::Ident(next)) = tokens.get(i + 2)
                    {
                        segments.push(next.to_string());
                        i += 3;
                    }
                    if colons(i)
                        && let Some(TokenTree::Group(group)) = tokens.get(i + 2)
                        && let Ok(tree) = syn::parse2::<syn::UseTree>(TokenTree::Group(group.clone()).into())
                    {
                        self.use_tree(&tree, &segments, absolute);
                        i += 3;
                        continue;
                    }
                    let mention = self.mention(segments, absolute, import, line);
                    self.record(mention);
                }
                _ => {}
            }
        }
    }

    /// Finds paths in a string literal of an attribute.
    fn scan_text(&mut self, literal: &str) {
        if let Ok(literal) = syn::parse_str::<syn::LitStr>(literal)
            && let Ok(tokens) = literal.value().parse::<TokenStream>()
        {
            self.scan(tokens);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let test = attributes(item).iter().any(is_test_only);
        self.tests += usize::from(test);
        if let Some(name) = name(item) {
            self.module().items.insert(name.clone());
            if let syn::Item::Macro(_) = item
                && attributes(item).iter().any(|a| a.path().is_ident("macro_export"))
            {
                // Its name stands at the root, its text here.
                let mut segments = vec!["crate".to_owned()];
                segments.extend(self.place.iter().cloned());
                segments.push(name.clone());
                let mention = self.mention(segments, false, false, 0);
                self.source.modules.entry(Vec::new()).or_default().aliases.insert(name, mention);
            }
        }
        visit::visit_item(self, item);
        self.tests -= usize::from(test);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        for attribute in &item.attrs {
            self.visit_attribute(attribute);
            if attribute.path().is_ident("path") {
                self.source.faults.push(format!("{}: `#[path]` hides where a module is", self.file));
            }
        }
        let name = item.ident.to_string();
        self.within(&name, |reader| {
            if let Some((_, items)) = &item.content {
                for item in items {
                    reader.visit_item(item);
                }
            } else {
                let file = format!("src/{}.rs", reader.place.join("/"));
                let outer = core::mem::replace(&mut reader.file, file);
                reader.read_file();
                reader.file = outer;
            }
        });
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for attribute in &item.attrs {
            self.visit_attribute(attribute);
        }
        self.use_tree(&item.tree, &[], item.leading_colon.is_some());
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let segment = if item.ident == "self" { "crate".into() } else { item.ident.to_string() };
        let absolute = item.ident != "self";
        let mention = self.mention(vec![segment], absolute, true, item.ident.span().start().line);
        let name = item.rename.as_ref().map_or_else(|| item.ident.to_string(), |(_, name)| name.to_string());
        self.module().aliases.insert(name, mention.clone());
        self.record(mention);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        let line = path.segments.first().map_or(0, |s| s.ident.span().start().line);
        let mention = self.mention(segments, path.leading_colon.is_some(), false, line);
        self.record(mention);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        if mac.path.segments.last().is_some_and(|s| s.ident == "include") {
            self.source.faults.push(format!("{}: `include!` hides what is imported", self.file));
        }
        visit::visit_macro(self, mac);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if !attribute.path().is_ident("doc") {
            self.attributes += 1;
            visit::visit_attribute(self, attribute);
            self.attributes -= 1;
        }
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        if self.attributes > 0 {
            self.scan_text(&literal.token().to_string());
        }
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.scan(tokens.clone());
    }

    // `pub(in crate::store)` names an ancestor only.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

/// `#[cfg(test)]`, also among other conditions; `not(test)` is no such thing.
fn is_test_only(attribute: &syn::Attribute) -> bool {
    fn words(tokens: TokenStream, into: &mut Vec<String>) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => into.push(ident.to_string()),
                TokenTree::Group(group) => words(group.stream(), into),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    if let (true, syn::Meta::List(list)) = (attribute.path().is_ident("cfg"), &attribute.meta) {
        words(list.tokens.clone(), &mut found);
    }
    found.iter().any(|w| w == "test") && !found.iter().any(|w| w == "not" || w == "any")
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(i) => &i.attrs,
        syn::Item::Enum(i) => &i.attrs,
        syn::Item::Fn(i) => &i.attrs,
        syn::Item::Impl(i) => &i.attrs,
        syn::Item::Macro(i) => &i.attrs,
        syn::Item::Mod(i) => &i.attrs,
        syn::Item::Static(i) => &i.attrs,
        syn::Item::Struct(i) => &i.attrs,
        syn::Item::Trait(i) => &i.attrs,
        syn::Item::Type(i) => &i.attrs,
        syn::Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

fn name(item: &syn::Item) -> Option<String> {
    Some(match item {
        syn::Item::Const(i) => i.ident.to_string(),
        syn::Item::Enum(i) => i.ident.to_string(),
        syn::Item::Fn(i) => i.sig.ident.to_string(),
        syn::Item::Macro(i) => i.ident.as_ref()?.to_string(),
        syn::Item::Static(i) => i.ident.to_string(),
        syn::Item::Struct(i) => i.ident.to_string(),
        syn::Item::Trait(i) => i.ident.to_string(),
        syn::Item::Type(i) => i.ident.to_string(),
        syn::Item::Union(i) => i.ident.to_string(),
        _ => return None,
    })
}
