// Tries to escape, and says on standard output which attempts were refused. Started inside a jail it shows what the
// jail holds back; started without one it shows that the attempts are real.
//
//   rostrum-jail probe HOST-PID TCP-PORT UNIX-SOCKET ABSTRACT-NAME READABLE-FILE WRITABLE-FOLDER
//
// Each line is “name held”, “name open” or “name skip”, with what was tried last. The last line is “foreign-calls try”:
// a jail ends the process there, without one “foreign-calls open” follows.
#define _GNU_SOURCE
#include "jail.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

struct target {
  pid_t host;
  in_port_t port;
  const char *unix_socket;
  const char *abstract_name;
  const char *readable_file;
  const char *writable_folder;
};

// Attempts return what worked, or NULL when nothing did.
typedef const char *attempt(const struct target *);

static bool connects(int family, const void *address, socklen_t length) {
  int end = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (end < 0) return false;
  bool connected = connect(end, address, length) == 0;
  close(end);
  return connected;
}

static const char *try_internet(const struct target *target) {
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(target->port)};
  four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connects(AF_INET, &four, sizeof four)) return "a connection";
  struct sockaddr_in any = {.sin_family = AF_INET};
  int end = socket(AF_INET, SOCK_STREAM, 0);
  if (end >= 0 && bind(end, (struct sockaddr *)&any, sizeof any) == 0 && listen(end, 1) == 0) return "a listener";
  if (socket(AF_INET, SOCK_DGRAM, 0) >= 0) return "a datagram socket";
  if (socket(AF_INET6, SOCK_STREAM, 0) >= 0) return "a socket of version 6";
  if (socket(AF_NETLINK, SOCK_RAW, 0) >= 0) return "a netlink socket";
  if (socket(AF_PACKET, SOCK_RAW, 0) >= 0) return "a packet socket";
  if (socket(AF_VSOCK, SOCK_STREAM, 0) >= 0) return "a socket of the hypervisor";
  return NULL;
}

static bool connects_unix(const char *path, bool is_abstract) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(path), start = is_abstract ? 1 : 0;
  if (length == 0 || length + start >= sizeof address.sun_path) return false;
  memcpy(address.sun_path + start, path, length);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + start + length + (is_abstract ? 0 : 1));
  if (connects(AF_UNIX, &address, size)) return true;
  // The end of a pair is a socket too.
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return false;
  if (connect(pair[0], (struct sockaddr *)&address, size) == 0) return true;
  if (sendto(pair[0], "x", 1, 0, (struct sockaddr *)&address, size) == 1) return true;
  close(pair[0]);
  close(pair[1]);
  return false;
}

static const char *try_unix(const struct target *target) {
  return connects_unix(target->unix_socket, false) ? target->unix_socket : NULL;
}

static const char *try_abstract(const struct target *target) {
  return connects_unix(target->abstract_name, true) ? target->abstract_name : NULL;
}

static bool opens(const char *path, int flags) {
  int file = open(path, flags | O_CLOEXEC);
  if (file < 0) return false;
  close(file);
  return true;
}

static const char *try_read_file(const struct target *target) {
  static const char *const paths[] = {"/etc/passwd", "/etc/hostname", "/sys/kernel", "/dev/mem"};
  if (opens(target->readable_file, O_RDONLY)) return target->readable_file;
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    if (opens(paths[i], O_RDONLY)) return paths[i];
  }
  if (opens("/", O_RDONLY | O_DIRECTORY)) return "the root's list of files";
  return NULL;
}

static const char *try_read_process(const struct target *target) {
  static const char *const names[] = {"environ", "mem", "maps", "fd", "auxv"};
  char path[64], byte;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "/proc/%d/%s", (int)target->host, names[i]);
    if (opens(path, O_RDONLY)) return names[i];
  }
  struct iovec local = {&byte, 1}, remote = {&byte, 1};
  if (process_vm_readv(target->host, &local, 1, &remote, 1, 0) == 1) return "process_vm_readv";
  return NULL;
}

static const char *try_trace(const struct target *target) {
  if (ptrace(PTRACE_SEIZE, target->host, NULL, NULL) == 0) return "ptrace of the host";
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0) return "ptrace of itself";
  int process = (int)syscall(SYS_pidfd_open, target->host, 0);
  if (process >= 0 && syscall(SYS_pidfd_getfd, process, 0, 0) >= 0) return "pidfd_getfd";
  return NULL;
}

static const char *try_signal(const struct target *target) {
  if (kill(target->host, 0) == 0) return "kill of the host";
  if (kill(getppid() > 1 ? getppid() : 1, 0) == 0) return "kill of the parent";
  if (syscall(SYS_tgkill, target->host, target->host, 0) == 0) return "tgkill of the host";
  if (syscall(SYS_tkill, target->host, 0) == 0) return "tkill of the host";
  int process = (int)syscall(SYS_pidfd_open, target->host, 0);
  if (process >= 0 && syscall(SYS_pidfd_send_signal, process, 0, NULL, 0) == 0) return "a pidfd of the host";
  if (fcntl(STDIN_FILENO, F_SETOWN, target->host) == 0) return "signals by F_SETOWN";
  struct rlimit limit;
  if (prlimit(target->host, RLIMIT_NOFILE, NULL, &limit) == 0) return "prlimit of the host";
  return NULL;
}

static const char *try_execute(const struct target *target) {
  (void)target;
  char *const arguments[] = {"true", NULL};
  char *const environment[] = {NULL};
  int file = (int)syscall(SYS_memfd_create, "program", 0);
  if (file >= 0) {
    // Not a program, so a jail that lets it through answers with another error, and the probe goes on.
    if (write(file, "not a program", 13) != 13) return NULL;
    syscall(SYS_execveat, file, "", arguments, environment, AT_EMPTY_PATH);
    if (errno == ENOEXEC) return "execveat of memory";
    close(file);
  }
  int shell = open("/bin/true", O_PATH | O_CLOEXEC);
  if (shell >= 0) {
    // Without arguments to point at, a permitted execution fails with EFAULT.
    syscall(SYS_execveat, shell, "", (char **)8, environment, AT_EMPTY_PATH);
    if (errno == EFAULT) return "execveat of a program";
    close(shell);
  }
  syscall(SYS_execve, "/bin/true", (char **)8, environment);
  return errno == EFAULT ? "execve" : NULL;
}

static const char *try_fork(const struct target *target) {
  (void)target;
  pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (child == 0) _exit(0);
  if (child > 0) return "clone";
#ifdef SYS_fork
  child = (pid_t)syscall(SYS_fork);
  if (child == 0) _exit(0);
  if (child > 0) return "fork";
#endif
  struct {
    unsigned long long values[11];
  } request = {{0, 0, 0, 0, SIGCHLD}};
  child = (pid_t)syscall(SYS_clone3, &request, sizeof request);
  if (child == 0) _exit(0);
  return child > 0 ? "clone3" : NULL;
}

static const char *try_namespaces(const struct target *target) {
  (void)target;
  if (unshare(CLONE_NEWUSER) == 0) return "unshare of users";
  if (unshare(CLONE_NEWNS) == 0) return "unshare of mounts";
  if (unshare(CLONE_FILES) == 0) return "unshare of descriptors";
  // Impossible flags: whoever may mount gets another error than whoever may not, and nothing changes.
  if (mount(NULL, "/", NULL, MS_SHARED | MS_PRIVATE, NULL) != 0 && errno == EINVAL) return "mount";
  if (chroot("/") == 0) return "chroot";
  int names = open("/proc/1/ns/net", O_RDONLY | O_CLOEXEC);
  if (setns(names >= 0 ? names : STDIN_FILENO, 0) == 0) return "setns";
  if (setuid(0) == 0) return "setuid";
  return NULL;
}

static const char *try_write_file(const struct target *target) {
  char path[4096];
  if (snprintf(path, sizeof path, "%s/escaped", target->writable_folder) < (int)sizeof path) {
    if (open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) >= 0) return "a new file";
    if (mkdir(path, 0700) == 0) return "a new folder";
    if (symlink("/", path) == 0) return "a new link";
    if (mknod(path, S_IFIFO | 0600, 0) == 0) return "a new pipe";
  }
  if (opens(target->readable_file, O_WRONLY)) return "an existing file";
  if (truncate(target->readable_file, 0) == 0) return "truncate";
  if (chmod(target->readable_file, 0666) == 0) return "chmod";
  if (utimensat(AT_FDCWD, target->readable_file, NULL, 0) == 0) return "utimensat";
  if (unlink(target->readable_file) == 0) return "unlink";
  if (open("/tmp", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) >= 0) return "/tmp";
  if (open("/dev/shm", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) >= 0) return "/dev/shm";
  return NULL;
}

static const char *try_kernel(const struct target *target) {
  (void)target;
  struct io_uring_params ring = {0};
  if (syscall(SYS_io_uring_setup, 4, &ring) >= 0) return "io_uring";
  union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
  if (syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map) >= 0) return "bpf";
  struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event, .exclude_kernel = 1};
  if (syscall(SYS_perf_event_open, &event, 0, -1, -1, 0) >= 0) return "perf_event_open";
  if (syscall(SYS_keyctl, 0, -3, 1) >= 0) return "keyctl";
  if (syscall(SYS_userfaultfd, 1) >= 0) return "userfaultfd";
  if (syscall(SYS_shmget, 0x526f7374, 4096, 0600 | 01000) >= 0) return "shared memory";
  return NULL;
}

static const char *try_descriptors(const struct target *target) {
  (void)target;
  static char text[48];
  for (int descriptor = 3; descriptor < 70000; descriptor++) {
    if (fcntl(descriptor, F_GETFD) < 0) continue;
    snprintf(text, sizeof text, "descriptor %d", descriptor);
    return text;
  }
  return NULL;
}

static void report(const char *name, attempt *run, const struct target *target) {
  errno = 0;
  const char *success = run(target);
  if (success != NULL) {
    printf("%s open %s\n", name, success);
  } else {
    printf("%s held %s\n", name, strerrorname_np(errno) != NULL ? strerrorname_np(errno) : "?");
  }
  fflush(stdout);
}

// The numbers of another machine would pass a filter that looks at its own only.
static void try_foreign_calls(void) {
  printf("foreign-calls try\n");
  fflush(stdout);
#ifdef __x86_64__
  // First the numbers of the x32 interface (getpid), then those of the 32-bit one.
  long answer = syscall(0x40000000L | SYS_getpid);
  int result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
  printf("foreign-calls open %s\n", result > 0 ? "32-bit calls" : answer > 0 ? "x32 calls" : "none exist here");
#else
  printf("foreign-calls held none\n");
#endif
}

int probe(int count, char **arguments) {
  if (count != 6) {
    dprintf(STDERR_FILENO, "rostrum-jail: the probe needs six arguments\n");
    return 64;
  }
  struct target target = {
    .host = (pid_t)atoi(arguments[0]),
    .port = (in_port_t)atoi(arguments[1]),
    .unix_socket = arguments[2],
    .abstract_name = arguments[3],
    .readable_file = arguments[4],
    .writable_folder = arguments[5],
  };
  report("descriptors", try_descriptors, &target);
  report("internet", try_internet, &target);
  report("unix-socket", try_unix, &target);
  report("abstract-socket", try_abstract, &target);
  report("read-file", try_read_file, &target);
  report("read-process", try_read_process, &target);
  report("trace", try_trace, &target);
  report("signal", try_signal, &target);
  report("execute", try_execute, &target);
  report("fork", try_fork, &target);
  report("namespaces", try_namespaces, &target);
  report("write-file", try_write_file, &target);
  report("kernel", try_kernel, &target);
  try_foreign_calls();
  return 0;
}
