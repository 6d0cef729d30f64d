//! The catalogue: which permissions and scopes there are, and which built-in roles have them.

use core::hash::Hash;
use std::collections::{BTreeSet, HashMap};

use super::builtin::builtin_permissions;
use super::fault::{CatalogueError, NameKind, NamesStillInUse};
use super::info::{MAX_NAMES, PermissionInfo, ScopeInfo};
use super::name::{MalformedName, Permission, Scope};
use super::role::{BuiltinRole, Level, Rights, Role, RoleBook, RoleDefinition, Standing};
use super::set::{NameSet, PermissionBit, PermissionSet, ScopeBit, ScopeSet};

/// The permissions and scopes of a service, compiled. Built once, at start-up; sets and bits of one catalogue
/// mean nothing in another.
#[derive(Clone, Debug)]
pub struct Catalogue {
    permissions: Vec<PermissionInfo>,
    scopes: Vec<ScopeInfo>,
    permission_bits: HashMap<Permission, u8>,
    scope_bits: HashMap<Scope, u8>,
    project_level: PermissionSet,
    viewer: Rights,
    developer: Rights,
    admin: Rights,
}

/// Names compiled to a set, and those that the catalogue does not know, which grant nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "unknown names are to be reported"]
pub struct Compiled<S: NameSet> {
    /// The names that are known.
    pub set: S,
    /// The names that are not.
    pub unknown: Vec<S::Name>,
}

impl Catalogue {
    /// Starts a catalogue that holds the built-in permissions.
    pub fn builder() -> CatalogueBuilder {
        CatalogueBuilder::default()
    }

    /// The bit of a permission, by its present or an earlier name.
    #[must_use]
    pub fn permission_bit(&self, name: &Permission) -> Option<PermissionBit> {
        self.permission_bits.get(name).copied().map(PermissionBit)
    }

    /// The bit of a scope, by its present or an earlier name.
    #[must_use]
    pub fn scope_bit(&self, name: &Scope) -> Option<ScopeBit> {
        self.scope_bits.get(name).copied().map(ScopeBit)
    }

    /// Compiles permissions.
    pub fn permissions<'a>(
        &self,
        names: impl IntoIterator<Item = &'a Permission>,
    ) -> Compiled<PermissionSet> {
        let mut compiled = Compiled { set: PermissionSet::EMPTY, unknown: Vec::new() };
        for name in names {
            match self.permission_bit(name) {
                Some(bit) => compiled.set.insert(bit),
                None => compiled.unknown.push(name.clone()),
            }
        }
        compiled
    }

    /// Compiles scopes.
    pub fn scopes<'a>(&self, names: impl IntoIterator<Item = &'a Scope>) -> Compiled<ScopeSet> {
        let mut compiled = Compiled { set: ScopeSet::EMPTY, unknown: Vec::new() };
        for name in names {
            match self.scope_bit(name) {
                Some(bit) => compiled.set.insert(bit),
                None => compiled.unknown.push(name.clone()),
            }
        }
        compiled
    }

    /// The present names of the permissions in a set.
    #[must_use]
    pub fn permission_names(&self, set: &PermissionSet) -> BTreeSet<Permission> {
        set.iter().filter_map(|bit| self.permission_info(bit)).map(|info| info.name.clone()).collect()
    }

    /// The present names of the scopes in a set.
    #[must_use]
    pub fn scope_names(&self, set: &ScopeSet) -> BTreeSet<Scope> {
        set.iter().filter_map(|bit| self.scope_info(bit)).map(|info| info.name.clone()).collect()
    }

    /// All permissions: the built-in ones, then the service's in the order of their declaration.
    #[must_use]
    pub fn all_permissions(&self) -> &[PermissionInfo] {
        &self.permissions
    }

    /// All scopes, in the order of their declaration.
    #[must_use]
    pub fn all_scopes(&self) -> &[ScopeInfo] {
        &self.scopes
    }

    /// What is known of a permission.
    #[must_use]
    pub fn permission_info(&self, bit: PermissionBit) -> Option<&PermissionInfo> {
        self.permissions.get(usize::from(bit.0))
    }

    /// What is known of a scope.
    #[must_use]
    pub fn scope_info(&self, bit: ScopeBit) -> Option<&ScopeInfo> {
        self.scopes.get(usize::from(bit.0))
    }

    /// The permissions of project level.
    #[must_use]
    pub fn project_level(&self) -> PermissionSet {
        self.project_level
    }

    /// Checks, at start-up, the names that a database holds: each must be known or renamed to a known one, since
    /// a name that silently grants nothing is a change of access nobody asked for.
    ///
    /// # Errors
    /// [`NamesStillInUse`] lists those that are neither.
    pub fn check_in_use<'a>(
        &self,
        permissions: impl IntoIterator<Item = &'a Permission>,
        scopes: impl IntoIterator<Item = &'a Scope>,
    ) -> Result<(), NamesStillInUse> {
        let permissions: BTreeSet<_> = self.permissions(permissions).unknown.into_iter().collect();
        let scopes: BTreeSet<_> = self.scopes(scopes).unknown.into_iter().collect();
        if permissions.is_empty() && scopes.is_empty() {
            return Ok(());
        }
        Err(NamesStillInUse { permissions, scopes })
    }

    /// What a standing is worth, by the rules in [the module's documentation](crate::access).
    #[must_use]
    pub fn rights(&self, standing: &Standing, book: &RoleBook) -> Rights {
        let of = |level| standing.decided_by(level).role().and_then(|role| self.role_rights(role, book));
        let workspace = of(Level::Workspace).unwrap_or(Rights::NONE);
        let project = of(Level::Project).unwrap_or(Rights::NONE);
        Rights {
            permissions: workspace
                .permissions
                .difference(&self.project_level)
                .union(&project.permissions.intersection(&self.project_level)),
            scopes: project.scopes,
        }
    }

    /// All that a role grants where it holds, both levels together. `None`: a custom role missing from the book.
    #[must_use]
    pub fn role_rights(&self, role: Role, book: &RoleBook) -> Option<Rights> {
        match role {
            Role::Admin => Some(self.admin),
            Role::Developer => Some(self.developer),
            Role::Viewer => Some(self.viewer),
            Role::Custom(id) => book.get(id).map(|definition| self.definition_rights(definition)),
        }
    }

    /// All that a definition grants; names that the catalogue does not know grant nothing. Before a definition is
    /// stored, ask [`Catalogue::check_in_use`] about its names.
    #[must_use]
    pub fn definition_rights(&self, definition: &RoleDefinition) -> Rights {
        Rights {
            permissions: self.permissions(&definition.permissions).set,
            scopes: self.scopes(&definition.scopes).set,
        }
    }
}

/// Collects a service's permissions and scopes. Errors wait until [`CatalogueBuilder::build`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CatalogueBuilder {
    permissions: Vec<(String, Level, BuiltinRole, String)>,
    scopes: Vec<(String, BuiltinRole, String)>,
    renamed_permissions: Vec<(String, String)>,
    renamed_scopes: Vec<(String, String)>,
}

impl CatalogueBuilder {
    /// Declares a permission: its name, where it applies, the least built-in role that has it, and a sentence
    /// for the catalogue page.
    pub fn permission(mut self, name: &str, level: Level, lowest: BuiltinRole, description: &str) -> Self {
        self.permissions.push((name.to_owned(), level, lowest, description.to_owned()));
        self
    }

    /// Declares a scope: its name, the least built-in role whose holders' keys may carry it (Developer if `None`),
    /// and a sentence for the catalogue page.
    pub fn scope(mut self, name: &str, lowest: Option<BuiltinRole>, description: &str) -> Self {
        self.scopes.push((name.to_owned(), lowest.unwrap_or(BuiltinRole::Developer), description.to_owned()));
        self
    }

    /// Keeps an earlier name of a permission working. The new name may itself be renamed again.
    pub fn rename_permission(mut self, old: &str, new: &str) -> Self {
        self.renamed_permissions.push((old.to_owned(), new.to_owned()));
        self
    }

    /// Keeps an earlier name of a scope working. The new name may itself be renamed again.
    pub fn rename_scope(mut self, old: &str, new: &str) -> Self {
        self.renamed_scopes.push((old.to_owned(), new.to_owned()));
        self
    }

    /// Compiles the catalogue.
    ///
    /// # Errors
    /// [`CatalogueError`] names the first declaration that cannot stand.
    pub fn build(self) -> Result<Catalogue, CatalogueError> {
        let mut permissions = builtin_permissions();
        let builtin: BTreeSet<Permission> = permissions.iter().map(|info| info.name.clone()).collect();
        for (name, level, lowest, description) in self.permissions {
            let name = read(&name, NameKind::Permission, Permission::parse)?;
            if builtin.contains(&name) {
                return Err(CatalogueError::BuiltinRedefined { name });
            }
            permissions.push(PermissionInfo { name, level, lowest, description, builtin: false });
        }
        let mut scopes = Vec::with_capacity(self.scopes.len());
        for (name, lowest, description) in self.scopes {
            scopes.push(ScopeInfo { name: read(&name, NameKind::Scope, Scope::parse)?, lowest, description });
        }
        let mut renamed_permissions = Vec::with_capacity(self.renamed_permissions.len());
        for (old, new) in self.renamed_permissions {
            let old = read(&old, NameKind::Permission, Permission::parse)?;
            if builtin.contains(&old) {
                return Err(CatalogueError::BuiltinRedefined { name: old });
            }
            renamed_permissions.push((old, read(&new, NameKind::Permission, Permission::parse)?));
        }
        let mut renamed_scopes = Vec::with_capacity(self.renamed_scopes.len());
        for (old, new) in self.renamed_scopes {
            renamed_scopes.push((
                read(&old, NameKind::Scope, Scope::parse)?,
                read(&new, NameKind::Scope, Scope::parse)?,
            ));
        }
        let permission_bits = compile(
            NameKind::Permission,
            permissions.iter().map(|info| &info.name),
            &renamed_permissions,
            Permission::as_str,
        )?;
        let scope_bits =
            compile(NameKind::Scope, scopes.iter().map(|info| &info.name), &renamed_scopes, Scope::as_str)?;
        Ok(Catalogue::compiled(permissions, scopes, permission_bits, scope_bits))
    }
}

impl Catalogue {
    fn compiled(
        permissions: Vec<PermissionInfo>,
        scopes: Vec<ScopeInfo>,
        permission_bits: HashMap<Permission, u8>,
        scope_bits: HashMap<Scope, u8>,
    ) -> Self {
        let permissions_where = |wanted: &dyn Fn(&PermissionInfo) -> bool| -> PermissionSet {
            (0..=u8::MAX)
                .zip(&permissions)
                .filter(|(_, info)| wanted(info))
                .map(|(bit, _)| PermissionBit(bit))
                .collect()
        };
        let rights = |role: BuiltinRole| Rights {
            permissions: permissions_where(&|info| info.lowest <= role),
            scopes: (0..=u8::MAX)
                .zip(&scopes)
                .filter(|(_, info)| info.lowest <= role)
                .map(|(bit, _)| ScopeBit(bit))
                .collect(),
        };
        let project_level = permissions_where(&|info| info.level == Level::Project);
        let (viewer, developer, admin) =
            (rights(BuiltinRole::Viewer), rights(BuiltinRole::Developer), rights(BuiltinRole::Admin));
        Self { permissions, scopes, permission_bits, scope_bits, project_level, viewer, developer, admin }
    }
}

fn read<N>(
    text: &str,
    kind: NameKind,
    parse: fn(&str) -> Result<N, MalformedName>,
) -> Result<N, CatalogueError> {
    parse(text).map_err(|why| CatalogueError::Malformed { kind, name: text.to_owned(), why })
}

/// Gives each name its bit, in order, and each earlier name the bit of the name that it leads to.
fn compile<'a, N: Clone + Eq + Hash + 'a>(
    kind: NameKind,
    names: impl Iterator<Item = &'a N>,
    renames: &[(N, N)],
    text: fn(&N) -> &str,
) -> Result<HashMap<N, u8>, CatalogueError> {
    let owned = |name: &N| text(name).to_owned();
    let names: Vec<&N> = names.collect();
    if names.len() > MAX_NAMES {
        return Err(CatalogueError::TooMany { kind, count: names.len() });
    }
    let mut bits = HashMap::new();
    for (bit, &name) in (0..=u8::MAX).zip(&names) {
        if bits.insert(name.clone(), bit).is_some() {
            return Err(CatalogueError::Duplicate { kind, name: owned(name) });
        }
    }
    let mut next = HashMap::new();
    for (old, new) in renames {
        if bits.contains_key(old) {
            return Err(CatalogueError::RenamedAndDeclared { kind, old: owned(old) });
        }
        if next.insert(old, new).is_some() {
            return Err(CatalogueError::Duplicate { kind, name: owned(old) });
        }
    }
    let mut resolved = Vec::with_capacity(renames.len());
    for (old, new) in renames {
        // A chain longer than the number of renames goes in a circle.
        let mut chain = core::iter::successors(Some(new), |name| next.get(name).copied()).take(renames.len());
        let bit = chain.find_map(|name| bits.get(name)).copied();
        let unknown = || CatalogueError::RenamedToUnknown { kind, old: owned(old), new: owned(new) };
        resolved.push((old.clone(), bit.ok_or_else(unknown)?));
    }
    bits.extend(resolved);
    Ok(bits)
}
