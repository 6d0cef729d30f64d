-- The dashboard's role reads and writes rows; it makes, alters and drops nothing.
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};
REVOKE INSERT, UPDATE, DELETE ON {p}schema FROM {role};
-- Nobody changes an entry of the ledger or takes it away.
REVOKE UPDATE, DELETE ON {p}ledger FROM {role};
-- Of the audit log only the seal is ever written later, and of what can be erased only that.
REVOKE UPDATE, DELETE ON {p}audit FROM {role};
GRANT UPDATE (sequence, link) ON {p}audit TO {role};
REVOKE UPDATE, DELETE ON {p}audit_personal FROM {role};
GRANT UPDATE (subject, salt, value) ON {p}audit_personal TO {role};
REVOKE DELETE ON {p}audit_chains FROM {role};
REVOKE UPDATE, DELETE ON {p}starter_credits FROM {role};
REVOKE INSERT, DELETE ON {p}stream FROM {role};
