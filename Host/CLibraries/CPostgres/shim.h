#include <libpq-fe.h>
#include <sys/eventfd.h>

// The codes of PQresultErrorField are character literals, which Swift does not import.
static const int CPostgres_severity = PG_DIAG_SEVERITY_NONLOCALIZED;
static const int CPostgres_sqlState = PG_DIAG_SQLSTATE;
static const int CPostgres_messagePrimary = PG_DIAG_MESSAGE_PRIMARY;
static const int CPostgres_constraintName = PG_DIAG_CONSTRAINT_NAME;
static const int CPostgres_tableName = PG_DIAG_TABLE_NAME;
static const int CPostgres_columnName = PG_DIAG_COLUMN_NAME;

// Swift's Glibc module leaves this header out. The descriptor wakes the listener while it polls its connection.
static inline int CPostgres_makeWakeDescriptor(void) {
  return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}
