internal import Glibc

/// Whether the tests and the programs beside them were built with a sanitizer.
///
/// Such a program needs `/proc` and memory without end, so it can not run in a jail.
package enum SanitizedBuild {
  package static let isOn = unsafe dlsym(nil, "__tsan_init") != nil || dlsym(nil, "__asan_init") != nil
}
