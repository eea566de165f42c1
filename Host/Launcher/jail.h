#ifndef ROSTRUM_JAIL_H
#define ROSTRUM_JAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

// The descriptors that the host hands over.
enum { image_descriptor = 3, group_descriptor = 4 };
// The exit code of a launcher that could not start its program; the reason is on standard error.
enum { exit_not_started = 70 };
// How many times, a millisecond apart, a program is tried that somebody still has open for writing.
enum { busy_attempts = 2000 };
enum { maximum_grants = 64 };

// One path that the program may use, opened before anything is given up.
struct grant {
  const char *path;
  int descriptor;
  bool is_directory;
  bool may_execute;
  bool is_device;
};

// What is asked for on the command line.
struct jail {
  bool namespaces;
  bool landlock;
  bool filter;
  bool group;
  bool set_user;
  uid_t uid;
  gid_t gid;
  rlim_t descriptors;
  rlim_t processes;
  const char *directory;
  const char *interpreter;
  const char *script;
  struct grant grants[maximum_grants];
  size_t grant_count;
  // A descriptor that the program can never have, so that nothing else can be executed after it.
  int executable;
  char **arguments;
};

// Writes what failed with errno to standard error and ends the process.
_Noreturn void fail(const char *step);
_Noreturn void fail_path(const char *step, const char *path);

// Leaves the host's network, IPC, names, mounts and, for processes started from now on, process numbers.
void enter_namespaces(void);
// Replaces the root by one that holds the granted paths alone, read-only.
void enter_view(const struct jail *jail);
// Lets this process and its children reach the granted paths alone, whoever they are.
void restrict_files(const struct jail *jail);
// Installs the list of system calls that the program may make. The execution of `jail->executable` is the last one.
void restrict_calls(const struct jail *jail);

// Tries to escape and says on standard output what happened.
int probe(int count, char **arguments);

#endif
