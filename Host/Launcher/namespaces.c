#define _GNU_SOURCE
#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Numbers and layouts of the kernel's interface, which older headers lack.
#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

enum {
  open_tree_clone = 1,
  at_recursive = 0x8000,
  move_mount_from_empty_path = 4,
  attribute_read_only = 1,
  attribute_no_set_user = 2,
  attribute_no_device = 4,
};

struct attributes {
  __u64 set;
  __u64 clear;
  __u64 propagation;
  __u64 user_namespace;
};

static void write_file(const char *path, const char *text) {
  int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) fail_path("open", path);
  if (write(file, text, strlen(text)) != (ssize_t)strlen(text)) fail_path("write", path);
  close(file);
}

static void map_user(uid_t uid, gid_t gid) {
  char line[64];
  write_file("/proc/self/setgroups", "deny");
  // Nobody inside: no number means anything there.
  snprintf(line, sizeof line, "65534 %u 1", (unsigned)uid);
  write_file("/proc/self/uid_map", line);
  snprintf(line, sizeof line, "65534 %u 1", (unsigned)gid);
  write_file("/proc/self/gid_map", line);
}

void enter_namespaces(void) {
  int flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID;
  uid_t uid = geteuid();
  gid_t gid = getegid();
  if (uid != 0) flags |= CLONE_NEWUSER;
  if (unshare(flags) != 0) fail("leave the host's namespaces");
  if (uid != 0) map_user(uid, gid);
  if (sethostname("plugin", 6) != 0) fail("change the host's name");
}

// Makes the folders that lead to a path, and the path itself, below the working folder.
static void make_target(char *path, bool is_directory) {
  for (char *slash = strchr(path + 2, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    if (mkdir(path, 0755) != 0 && errno != EEXIST) fail_path("make the folder", path);
    *slash = '/';
  }
  if (is_directory) {
    if (mkdir(path, 0755) != 0 && errno != EEXIST) fail_path("make the folder", path);
  } else {
    int file = open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0444);
    if (file < 0) fail_path("make the file", path);
    close(file);
  }
}

static void show(const struct grant *grant, int tree) {
  char target[4096];
  if (snprintf(target, sizeof target, ".%s", grant->path) >= (int)sizeof target) {
    errno = ENAMETOOLONG;
    fail_path("show", grant->path);
  }
  if (strcmp(grant->path, "/") == 0) {
    errno = EINVAL;
    fail_path("show", grant->path);
  }
  make_target(target, grant->is_directory);
  if (syscall(SYS_move_mount, tree, "", AT_FDCWD, target, move_mount_from_empty_path) != 0) {
    fail_path("show", grant->path);
  }
  close(tree);
}

static int copy_tree(const struct grant *grant) {
  struct attributes attributes = {.set = attribute_read_only | attribute_no_set_user};
  int recursive = grant->is_directory ? at_recursive : 0;
  if (!grant->is_device) attributes.set |= attribute_no_device;
  int tree = (int)syscall(SYS_open_tree, grant->descriptor, "", open_tree_clone | O_CLOEXEC | AT_EMPTY_PATH | recursive);
  if (tree < 0) fail_path("take a view of", grant->path);
  if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | recursive, &attributes, sizeof attributes) != 0) {
    fail_path("protect the view of", grant->path);
  }
  return tree;
}

void enter_view(const struct jail *jail) {
  int trees[maximum_grants];
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail("keep mounts private");
  for (size_t i = 0; i < jail->grant_count; i++) trees[i] = copy_tree(&jail->grants[i]);
  // A folder that every system has; it is out of sight right after.
  if (mount("rostrum-jail", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=256k") != 0) {
    fail("make an empty root");
  }
  if (chdir("/proc") != 0) fail("enter the empty root");
  for (size_t i = 0; i < jail->grant_count; i++) show(&jail->grants[i], trees[i]);
  // Shows the namespace's own processes and nothing of the machine: Swift's thread pool reads the states of its threads.
  if (mkdir("./proc", 0555) != 0) fail("make the folder /proc");
  if (mount("proc", "./proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "subset=pid") != 0) {
    fail("show the plugin's own processes");
  }
  if (syscall(SYS_pivot_root, ".", ".") != 0) fail("change the root");
  if (umount2(".", MNT_DETACH) != 0) fail("leave the host's files");
  if (chdir("/") != 0) fail("enter the new root");
  if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) {
    fail("protect the new root");
  }
}
