#define _GNU_SOURCE
#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <sys/syscall.h>
#include <unistd.h>

// Numbers and layouts of the kernel's interface, which older headers lack.
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

enum {
  access_execute = 1 << 0,
  access_write_file = 1 << 1,
  access_read_file = 1 << 2,
  access_read_directory = 1 << 3,
  access_all_1 = (1 << 13) - 1,
  access_refer = 1 << 13,
  access_truncate = 1 << 14,
  access_ioctl_device = 1 << 15,
  network_all = 3,
  scope_all = 3,
  want_version = 1,
  rule_path_beneath = 1,
};

struct ruleset {
  __u64 files;
  __u64 network;
  __u64 scope;
};

struct path_rule {
  __u64 access;
  __s32 parent;
} __attribute__((packed));

// Swift's thread pool ends the process when it can not read /proc/<thread>/stat. In a namespace /proc shows the plugin's
// own processes. Without one it shows the machine; what is secret about a process (environment, memory, descriptors)
// needs the right to trace it, which Landlock refuses for processes outside of its rules.
static void allow_threads(const struct jail *jail, int rules) {
  struct path_rule rule = {.access = access_read_file};
  if (jail->namespaces) rule.access |= access_read_directory;
  rule.parent = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  // A machine without /proc has nothing to show.
  if (rule.parent < 0) return;
  if (syscall(SYS_landlock_add_rule, rules, rule_path_beneath, &rule, 0) != 0) fail("allow /proc");
  close(rule.parent);
}

void restrict_files(const struct jail *jail) {
  int version = (int)syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, want_version);
  if (version < 1) fail("use Landlock, which the kernel does not offer");
  struct ruleset ruleset = {.files = access_all_1};
  size_t size = sizeof ruleset.files;
  if (version >= 2) ruleset.files |= access_refer;
  if (version >= 3) ruleset.files |= access_truncate;
  if (version >= 4) ruleset.network = network_all, size = 2 * sizeof(__u64);
  if (version >= 5) ruleset.files |= access_ioctl_device;
  if (version >= 6) ruleset.scope = scope_all, size = sizeof ruleset;
  int rules = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
  if (rules < 0) fail("make the Landlock rules");
  // The executable's path is granted too: without a name there is nothing but this file behind the rule.
  struct path_rule own = {.access = access_execute | access_read_file, .parent = jail->executable};
  if (syscall(SYS_landlock_add_rule, rules, rule_path_beneath, &own, 0) != 0) fail("allow the program to itself");
  for (size_t i = 0; i < jail->grant_count; i++) {
    const struct grant *grant = &jail->grants[i];
    struct path_rule rule = {.access = access_read_file, .parent = grant->descriptor};
    if (grant->is_directory) rule.access |= access_read_directory;
    if (grant->may_execute) rule.access |= access_execute;
    if (grant->is_device) rule.access |= access_write_file | (ruleset.files & access_truncate);
    if (syscall(SYS_landlock_add_rule, rules, rule_path_beneath, &rule, 0) != 0) fail_path("allow", grant->path);
  }
  allow_threads(jail, rules);
  if (syscall(SYS_landlock_restrict_self, rules, 0) != 0) fail("apply the Landlock rules");
  close(rules);
}
