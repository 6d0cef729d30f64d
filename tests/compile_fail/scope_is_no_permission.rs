//! M2: what a key may do and what a member may do are two types without a conversion.
use portcullis::access::{Catalogue, Permission, PermissionSet, Scope, ScopeSet};

fn ask(catalogue: &Catalogue, scope: &Scope) {
    let _ = catalogue.permission_bit(scope);
}

fn convert(scope: Scope) -> Permission {
    scope.into()
}

fn mix(permissions: PermissionSet, scopes: ScopeSet) -> PermissionSet {
    permissions.union(&scopes)
}

fn main() {}
