// The typed setters below replace the variadic originals, which Swift cannot call.
#define CURL_DISABLE_TYPECHECK 1
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static inline CURLcode CCurl_setLong(CURL *easy, CURLoption option, long value) {
  return curl_easy_setopt(easy, option, value);
}

static inline CURLcode CCurl_setOffset(CURL *easy, CURLoption option, curl_off_t value) {
  return curl_easy_setopt(easy, option, value);
}

static inline CURLcode CCurl_setString(CURL *easy, CURLoption option, const char *value) {
  return curl_easy_setopt(easy, option, value);
}

static inline CURLcode CCurl_setPointer(CURL *easy, CURLoption option, const void *value) {
  return curl_easy_setopt(easy, option, value);
}

static inline CURLcode CCurl_setList(CURL *easy, CURLoption option, struct curl_slist *value) {
  return curl_easy_setopt(easy, option, value);
}

// For the read, write and header functions, which have one shape.
typedef size_t (*CCurl_data_function)(char *data, size_t size, size_t count, void *context);

static inline CURLcode CCurl_setDataFunction(CURL *easy, CURLoption option, CCurl_data_function function) {
  return curl_easy_setopt(easy, option, function);
}

static inline CURLcode CCurl_setSeekFunction(CURL *easy, curl_seek_callback function) {
  return curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, function);
}

static inline CURLcode CCurl_setOpenSocketFunction(CURL *easy, curl_opensocket_callback function) {
  return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, function);
}

static inline CURLcode CCurl_setCloseSocketFunction(CURL *easy, curl_closesocket_callback function) {
  return curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, function);
}

static inline CURLcode CCurl_setPrerequestFunction(CURL *easy, curl_prereq_callback function) {
  return curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, function);
}

static inline CURLcode CCurl_getLong(CURL *easy, CURLINFO info, long *value) {
  return curl_easy_getinfo(easy, info, value);
}

static inline CURLcode CCurl_getOffset(CURL *easy, CURLINFO info, curl_off_t *value) {
  return curl_easy_getinfo(easy, info, value);
}

static inline CURLcode CCurl_getPointer(CURL *easy, CURLINFO info, void **value) {
  return curl_easy_getinfo(easy, info, value);
}

static inline CURLMcode CCurl_setMultiLong(CURLM *multi, CURLMoption option, long value) {
  return curl_multi_setopt(multi, option, value);
}

// Copies the address of an Internet socket; returns its length (4 or 16), or 0 for any other family.
static inline int CCurl_copyAddress(const struct curl_sockaddr *address, unsigned char bytes[16], unsigned short *port) {
  if (address->family == AF_INET && address->addrlen >= sizeof(struct sockaddr_in)) {
    struct sockaddr_in copy;
    memcpy(&copy, &address->addr, sizeof copy);
    memcpy(bytes, &copy.sin_addr, 4);
    *port = ntohs(copy.sin_port);
    return 4;
  }
  if (address->family == AF_INET6 && address->addrlen >= sizeof(struct sockaddr_in6)) {
    struct sockaddr_in6 copy;
    memcpy(&copy, &address->addr, sizeof copy);
    memcpy(bytes, &copy.sin6_addr, 16);
    *port = ntohs(copy.sin6_port);
    return 16;
  }
  return 0;
}

// The local port of a socket, or 0.
static inline unsigned short CCurl_localPort(int socket) {
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  if (getsockname(socket, (struct sockaddr *)&address, &length) != 0) return 0;
  if (address.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&address)->sin_port);
  if (address.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
  return 0;
}

// Whether nothing waits to be read on a socket and its other end has not closed it.
static inline int CCurl_isQuiet(int socket) {
  char byte;
  ssize_t count = recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}
