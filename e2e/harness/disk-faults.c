/*
 * A disk that fails, for the process it is loaded into by LD_PRELOAD. The file named by DISK_FAULTS holds the rules,
 * one a line; it is read again whenever it changes, so that a test breaks and mends the disk while the process runs.
 *
 *   CALLS PATTERN [errno=N] [delay=MS] [stuck] [after=N] [times=N]
 *
 * CALLS    open, read, write, sync, rename, truncate, unlink, joined by commas. Each stands for its whole family:
 *          write for write, pwrite, writev and pwritev, sync for fsync and fdatasync, and so on.
 * PATTERN  as fnmatch(3) without flags: `*` matches slashes too. It is held against the file's full path; for a
 *          rename either path counts.
 * errno    the call is not made and fails with this number.
 * delay    the call is made so many milliseconds late.
 * stuck    the call is made once no rule of the file says `stuck` for it any more.
 * after    so many calls that match go through first; times: so many fail, then the rule is spent.
 *
 * The first rule that matches counts. Counts begin anew when the file changes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAX_RULES 32

enum call { OPEN = 1, READ = 2, WRITE = 4, SYNC = 8, RENAME = 16, TRUNCATE = 32, UNLINK = 64 };

struct rule {
  int calls;
  char pattern[PATH_MAX];
  int error;
  long delay_ms;
  int stuck;
  long after;
  long times; /* negative: without end */
};

static struct rule rules[MAX_RULES];
static int rule_count;
static struct stat rules_stat;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Set while the rules are read, so that reading them is not held against them. */
static __thread int inside;

static int call_of(const char *name) {
  static const char *const names[] = {"open", "read", "write", "sync", "rename", "truncate", "unlink"};
  for (int n = 0; n < 7; n++)
    if (strcmp(name, names[n]) == 0) return 1 << n;
  fprintf(stderr, "disk-faults: unknown call %s\n", name);
  abort();
}

static int parse(char *line, struct rule *rule) {
  char *rest = NULL;
  char *calls = strtok_r(line, " \n", &rest);
  char *pattern = strtok_r(NULL, " \n", &rest);
  if (calls == NULL || pattern == NULL) return 0;
  memset(rule, 0, sizeof *rule);
  rule->times = -1;
  char *more = NULL;
  for (char *name = strtok_r(calls, ",", &more); name != NULL; name = strtok_r(NULL, ",", &more))
    rule->calls |= call_of(name);
  snprintf(rule->pattern, sizeof rule->pattern, "%s", pattern);
  for (char *word = strtok_r(NULL, " \n", &rest); word != NULL; word = strtok_r(NULL, " \n", &rest)) {
    if (sscanf(word, "errno=%d", &rule->error) == 1 || sscanf(word, "delay=%ld", &rule->delay_ms) == 1 ||
        sscanf(word, "after=%ld", &rule->after) == 1 || sscanf(word, "times=%ld", &rule->times) == 1)
      continue;
    if (strcmp(word, "stuck") != 0) {
      fprintf(stderr, "disk-faults: unknown word %s\n", word);
      abort();
    }
    rule->stuck = 1;
  }
  return 1;
}

/* Called with the lock held. */
static void load(void) {
  const char *path = getenv("DISK_FAULTS");
  struct stat now;
  if (path == NULL || stat(path, &now) != 0) {
    rule_count = 0;
    memset(&rules_stat, 0, sizeof rules_stat);
    return;
  }
  if (now.st_ino == rules_stat.st_ino && now.st_size == rules_stat.st_size &&
      now.st_mtim.tv_sec == rules_stat.st_mtim.tv_sec && now.st_mtim.tv_nsec == rules_stat.st_mtim.tv_nsec)
    return;
  rules_stat = now;
  rule_count = 0;
  FILE *file = fopen(path, "re");
  if (file == NULL) return;
  char line[PATH_MAX + 256];
  while (rule_count < MAX_RULES && fgets(line, sizeof line, file) != NULL)
    if (parse(line, &rules[rule_count])) rule_count++;
  fclose(file);
}

/* What to do with this call: the rule's copy, or one that does nothing. */
static struct rule matching(enum call call, const char *path) {
  struct rule found = {0};
  pthread_mutex_lock(&lock);
  inside = 1;
  load();
  for (int n = 0; n < rule_count; n++) {
    struct rule *rule = &rules[n];
    if ((rule->calls & call) == 0 || rule->times == 0 || fnmatch(rule->pattern, path, 0) != 0) continue;
    if (rule->after > 0) {
      rule->after--;
      break;
    }
    if (rule->times > 0) rule->times--;
    found = *rule;
    break;
  }
  inside = 0;
  pthread_mutex_unlock(&lock);
  return found;
}

static void pause_ms(long ms) {
  struct timespec span = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&span, &span) != 0 && errno == EINTR) continue;
}

/* The errno that the call fails with, or 0 where it is to be made. */
static int fault_at(enum call call, const char *path) {
  if (inside) return 0;
  int kept = errno;
  struct rule rule = matching(call, path);
  while (rule.stuck) {
    pause_ms(10);
    rule = matching(call, path);
  }
  if (rule.delay_ms > 0) pause_ms(rule.delay_ms);
  errno = kept;
  return rule.error;
}

static int fault_in(enum call call, int fd) {
  if (inside || getenv("DISK_FAULTS") == NULL) return 0;
  int kept = errno;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  errno = kept;
  if (length <= 0 || path[0] != '/') return 0;
  path[length] = 0;
  return fault_at(call, path);
}

static int fault_by_name(enum call call, int directory, const char *name) {
  char full[PATH_MAX * 2], base[PATH_MAX];
  if (inside || getenv("DISK_FAULTS") == NULL) return 0;
  if (name[0] == '/') return fault_at(call, name);
  char link[64];
  if (directory == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
  else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
  ssize_t length = readlink(link, base, sizeof base - 1);
  if (length <= 0) return 0;
  base[length] = 0;
  snprintf(full, sizeof full, "%s/%s", base, name);
  return fault_at(call, full);
}

#define REAL(name) \
  static __typeof__(name) *real; \
  if (real == NULL) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define FAIL_IF(fault) \
  do { \
    int error_ = (fault); \
    if (error_ != 0) { \
      errno = error_; \
      return -1; \
    } \
  } while (0)

#define MODE(mode, flags) \
  mode_t mode = 0; \
  if ((flags) & (O_CREAT | O_TMPFILE)) { \
    va_list list; \
    va_start(list, flags); \
    mode = va_arg(list, mode_t); \
    va_end(list); \
  }

#define OPEN_FUNCTION(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); \
    MODE(mode, flags) \
    FAIL_IF(fault_by_name(OPEN, AT_FDCWD, path)); \
    return real(path, flags, mode); \
  }
OPEN_FUNCTION(open)
OPEN_FUNCTION(open64)

#define OPENAT_FUNCTION(name) \
  int name(int directory, const char *path, int flags, ...) { \
    REAL(name); \
    MODE(mode, flags) \
    FAIL_IF(fault_by_name(OPEN, directory, path)); \
    return real(directory, path, flags, mode); \
  }
OPENAT_FUNCTION(openat)
OPENAT_FUNCTION(openat64)

/* A function whose first argument is the file `fd`. */
#define ON_FILE(result, name, call, types, values) \
  result name types { \
    REAL(name); \
    FAIL_IF(fault_in(call, fd)); \
    return real values; \
  }
ON_FILE(ssize_t, read, READ, (int fd, void *to, size_t size), (fd, to, size))
ON_FILE(ssize_t, pread, READ, (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
ON_FILE(ssize_t, pread64, READ, (int fd, void *to, size_t size, off64_t at), (fd, to, size, at))
ON_FILE(ssize_t, write, WRITE, (int fd, const void *from, size_t size), (fd, from, size))
ON_FILE(ssize_t, pwrite, WRITE, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
ON_FILE(ssize_t, pwrite64, WRITE, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at))
ON_FILE(ssize_t, writev, WRITE, (int fd, const struct iovec *from, int count), (fd, from, count))
ON_FILE(ssize_t, pwritev, WRITE, (int fd, const struct iovec *from, int count, off_t at),
        (fd, from, count, at))
ON_FILE(ssize_t, pwritev64, WRITE, (int fd, const struct iovec *from, int count, off64_t at),
        (fd, from, count, at))
ON_FILE(int, fsync, SYNC, (int fd), (fd))
ON_FILE(int, fdatasync, SYNC, (int fd), (fd))
ON_FILE(int, ftruncate, TRUNCATE, (int fd, off_t size), (fd, size))
ON_FILE(int, ftruncate64, TRUNCATE, (int fd, off64_t size), (fd, size))
ON_FILE(int, fallocate, TRUNCATE, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
ON_FILE(int, fallocate64, TRUNCATE, (int fd, int mode, off64_t at, off64_t size), (fd, mode, at, size))

int rename(const char *from, const char *to) {
  REAL(rename);
  FAIL_IF(fault_by_name(RENAME, AT_FDCWD, from));
  FAIL_IF(fault_by_name(RENAME, AT_FDCWD, to));
  return real(from, to);
}

int unlink(const char *path) {
  REAL(unlink);
  FAIL_IF(fault_by_name(UNLINK, AT_FDCWD, path));
  return real(path);
}
