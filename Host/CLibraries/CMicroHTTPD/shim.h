#include <microhttpd.h>

// Starts a daemon with its own epoll thread; variadic functions are not visible to Swift.
static inline struct MHD_Daemon *
CMicroHTTPD_start (int listenSocket, void *context,
                   MHD_AccessHandlerCallback access,
                   void *(*beforeParsing)(void *, const char *, struct MHD_Connection *),
                   MHD_RequestCompletedCallback completed,
                   MHD_NotifyConnectionCallback connectionChanged,
                   size_t (*unescape)(void *, struct MHD_Connection *, char *),
                   size_t connectionMemory, unsigned int maximumConnections)
{
  return MHD_start_daemon (
    MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, NULL, NULL, access, context,
    MHD_OPTION_LISTEN_SOCKET, listenSocket,
    MHD_OPTION_URI_LOG_CALLBACK, beforeParsing, context,
    MHD_OPTION_NOTIFY_COMPLETED, completed, context,
    MHD_OPTION_NOTIFY_CONNECTION, connectionChanged, context,
    MHD_OPTION_UNESCAPE_CALLBACK, unescape, context,
    MHD_OPTION_CONNECTION_MEMORY_LIMIT, connectionMemory,
    MHD_OPTION_CONNECTION_LIMIT, maximumConnections,
    MHD_OPTION_CONNECTION_TIMEOUT, 0u,
    MHD_OPTION_END);
}

static inline int
CMicroHTTPD_descriptor (struct MHD_Connection *connection)
{
  const union MHD_ConnectionInfo *info = MHD_get_connection_info (connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info ? info->connect_fd : -1;
}

static inline void *
CMicroHTTPD_socketContext (struct MHD_Connection *connection)
{
  const union MHD_ConnectionInfo *info = MHD_get_connection_info (connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}
