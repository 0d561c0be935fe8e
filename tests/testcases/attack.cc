// Hostile programs: what a task's code may try against the host and other tasks. Each act prints a line "breach: …" for
// everything that worked and should not have, and what it tried; those that race go on until ./stop exists.
#include <dirent.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace {

[[gnu::format(printf, 1, 2)]] void breach(const char* format, ...) {
  std::fputs("breach: ", stdout);
  va_list words;
  va_start(words, format);
  std::vprintf(format, words);
  va_end(words);
  std::fputc('\n', stdout);
}

bool told_to_stop() { return ::access("stop", F_OK) == 0; }

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return names;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(dir);
  return names;
}

bool is_number(const std::string& name) { return name.find_first_not_of("0123456789") == std::string::npos; }

/// The other processes that can be seen.
std::vector<pid_t> others() {
  std::vector<pid_t> pids;
  for (const std::string& name : names_in("/proc")) {
    const pid_t pid = is_number(name) ? std::atoi(name.c_str()) : 0;
    if (pid > 0 && pid != ::getpid() && pid != ::getppid()) pids.push_back(pid);
  }
  return pids;
}

std::string text_of(const std::string& path) {
  char buffer[4096];
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const ssize_t size = fd < 0 ? -1 : ::read(fd, buffer, sizeof buffer);
  if (fd >= 0) ::close(fd);
  return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : "";
}

/// exe: changes what /proc/<pid>/exe leads to, of everybody that can be seen.
int attack_programs() {
  long tried = 0;
  while (!told_to_stop()) {
    for (const pid_t pid : others()) {
      const std::string exe = "/proc/" + std::to_string(pid) + "/exe";
      ++tried;
      if (::open(exe.c_str(), O_WRONLY | O_CLOEXEC) >= 0) breach("%s opened for writing", exe.c_str());
      if (::chmod(exe.c_str(), 0777) == 0) breach("%s changed its mode", exe.c_str());
      if (::truncate(exe.c_str(), 0) == 0) breach("%s truncated", exe.c_str());
      if (::setxattr(exe.c_str(), "user.evil", "1", 1, 0) == 0) breach("%s got an attribute", exe.c_str());
      const int fd = ::open(exe.c_str(), O_RDONLY | O_CLOEXEC);
      if (fd < 0) continue;
      const std::string again = "/proc/self/fd/" + std::to_string(fd);
      if (::open(again.c_str(), O_WRONLY | O_CLOEXEC) >= 0) breach("%s opened again for writing", exe.c_str());
      if (::fchmod(fd, 0777) == 0) breach("%s changed its mode by its descriptor", exe.c_str());
      ::close(fd);
    }
  }
  return std::printf("tried %ld\n", tried) < 0;
}

/// Whether a process still lacks what confines it. To be asked after a deed: once confined it stays so.
bool is_unconfined(pid_t pid) {
  const std::string status = text_of("/proc/" + std::to_string(pid) + "/status");
  return status.find("NoNewPrivs:\t0") != std::string::npos || status.find("Seccomp:\t0") != std::string::npos;
}

/// enter: gets hold of processes that are just entering the sandbox.
int attack_entering() {
  long tried = 0;
  while (!told_to_stop()) {
    for (const pid_t pid : others()) {
      const std::string process = "/proc/" + std::to_string(pid);
      ++tried;
      char where[4096];
      const ssize_t length = ::readlink((process + "/exe").c_str(), where, sizeof where);
      const std::string exe(where, length > 0 ? static_cast<std::size_t>(length) : 0);
      if (exe == "/" || exe.find("dewar") != std::string::npos) breach("sees the program of %d: %s", pid, exe.c_str());
      for (const std::string& name : names_in(process + "/fd")) {  // their numbers root may know
        const std::string descriptor = process + "/fd/" + name;
        const int fd = ::open(descriptor.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0) continue;
        if (is_unconfined(pid)) breach("opens descriptor %s of %d", name.c_str(), pid);
        ::close(fd);
      }
      char byte = 0;
      iovec mine{&byte, 1}, its{reinterpret_cast<void*>(0x400000), 1};
      if (::process_vm_readv(pid, &mine, 1, &its, 1, 0) == 1 && is_unconfined(pid))
        breach("reads the memory of %d", pid);
      if (::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) != 0) continue;
      ::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr);
      int status = 0;
      ::waitpid(pid, &status, __WALL);
      if (is_unconfined(pid)) breach("traces %d before it is confined", pid);
      ::ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
    }
  }
  return std::printf("tried %ld\n", tried) < 0;
}

/// fds: tells every descriptor it was given.
int tell_descriptors() {
  const std::string folder = "/proc/self/fd";
  DIR* dir = ::opendir(folder.c_str());
  if (dir == nullptr) return 1;
  const int own = ::dirfd(dir);
  while (const dirent* entry = ::readdir(dir)) {
    if (is_number(entry->d_name) && std::atoi(entry->d_name) != own) std::printf("%s ", entry->d_name);
  }
  char name[4096];
  return std::printf("\ncwd %s\n", ::getcwd(name, sizeof name)) < 0;
}

/// Opens everything below a folder for writing; never writes, but to say so is breach enough.
void open_all(const std::string& folder, int depth, long& tried) {
  for (const std::string& name : names_in(folder)) {
    const std::string path = folder + "/" + name;
    if (folder == "/proc" && (is_number(name) || name == "self" || name == "thread-self")) continue;
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) continue;
    if (S_ISDIR(info.st_mode) && depth < 12) open_all(path, depth + 1, tried);
    if (S_ISDIR(info.st_mode)) {
      const std::string made = path + "/evil";
      if (::mkdir(made.c_str(), 0755) == 0) breach("makes %s", made.c_str());
    }
    if (!S_ISREG(info.st_mode)) continue;
    ++tried;
    const int fd = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) continue;
    breach("opens %s for writing", path.c_str());
    ::close(fd);
  }
}

/// kernel: every file of /proc and /sys.
int attack_kernel_files() {
  long tried = 0;
  for (const char* folder : {"/proc", "/sys"}) open_all(folder, 0, tried);
  return std::printf("tried %ld\n", tried) < 0;
}

/// release_agent: the public proof of CVE-2022-0492, step by step.
int attack_release_agent() {
  ::mkdir("cgroup", 0755);
  long tried = 0;
  const auto mount_all = [&] {
    for (const char* options : {"memory", "rdma", "pids", "none,name=evil", ""}) {
      ++tried;
      if (::mount("cgroup", "cgroup", "cgroup", 0, options) == 0) breach("mounts cgroup %s", options);
    }
    if (::mount("cgroup2", "cgroup", "cgroup2", 0, nullptr) == 0) breach("mounts cgroup2");
    if (::mount(nullptr, "/sys/fs/cgroup", nullptr, MS_REMOUNT | MS_BIND, nullptr) == 0) breach("remounts cgroups");
  };
  mount_all();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP) == 0) {
    breach("makes namespaces");
    mount_all();
  }
  open_all("/sys/fs/cgroup", 0, tried);
  return std::printf("tried %ld\n", tried) < 0;
}

/// strangers: every process number there can be.
int attack_strangers() {
  constexpr pid_t kMost = 1 << 17;
  long seen = 0;
  for (pid_t pid = 2; pid < kMost; ++pid) {
    if (pid == ::getpid() || pid == ::getppid() || ::kill(pid, 0) != 0) {
      if (errno == EPERM) breach("process %d is there", pid);
      continue;
    }
    ++seen;
    const auto pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (pidfd >= 0 && ::syscall(SYS_pidfd_getfd, pidfd, 0, 0) >= 0) breach("takes a descriptor of %d", pid);
    if (::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0) breach("traces %d", pid);
    ::kill(pid, SIGKILL);
    breach("kills %d", pid);
  }
  return std::printf("tried %d seen %ld\n", kMost, seen) < 0;
}

/// keys ID: the caller's keyrings, and a key that its caller has.
int attack_keys() {
  const auto failed = [](const char* call, long result) {
    if (result >= 0) breach("%s works", call);
    std::printf("%s: %s\n", call, std::strerror(errno));
  };
  failed("add_key", ::syscall(SYS_add_key, "user", "evil", "x", 1, KEY_SPEC_USER_KEYRING));
  failed("request_key", ::syscall(SYS_request_key, "user", "dewar-test", nullptr, 0));
  failed("keyctl", ::syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "dewar-test", 0));
  failed("keyctl user", ::syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", "dewar-test", 0));
  return 0;
}

/// devices: nodes of the host's memory, of null and of disks, wherever it can write.
int attack_devices() {
  long tried = 0;
  for (const std::string folder : {".", "/tmp", "/run", "/dev/shm", "/var/tmp", "/dev"}) {
    for (const auto& [mode, number] : {std::pair{S_IFCHR, makedev(1, 1)},
                                       {S_IFCHR, makedev(1, 3)},
                                       {S_IFBLK, makedev(8, 0)},
                                       {S_IFBLK, makedev(254, 0)},
                                       {S_IFBLK, makedev(7, 0)}}) {
      const std::string node = folder + "/node";
      ::unlink(node.c_str());
      ++tried;
      const bool made = ::mknod(node.c_str(), mode | 0666, number) == 0;
      if (!made) continue;
      std::printf("made %s %u:%u\n", node.c_str(), major(number), minor(number));
      if (::open(node.c_str(), O_RDONLY | O_CLOEXEC) >= 0 || errno == ENXIO)
        breach("opens %s %u:%u", node.c_str(), major(number), minor(number));
    }
  }
  return std::printf("tried %ld\n", tried) < 0;
}

/// mounts: what lies where the sandbox has put something.
int attack_mount_points() {
  long tried = 0;
  const auto must_fail = [&](const char* what, const std::string& path, int result) {
    ++tried;
    if (result == 0) breach("%s %s", what, path.c_str());
  };
  for (const std::string path : {"/dev", "/dev/null", "/dev/ptmx", "/dev/console", "/dev/fd", "/proc", "/sys", "/etc",
                                 "/etc/passwd", "/usr", "/bin", "/", "/etc/mtab"}) {
    must_fail("unlinks", path, ::unlink(path.c_str()));
    must_fail("removes", path, ::rmdir(path.c_str()));
    must_fail("renames", path, ::rename(path.c_str(), (path + ".old").c_str()));
    must_fail("links", path, ::symlink("/tmp", path.c_str()));
    must_fail("moves away", path, ::rename(path.c_str(), "./away"));
    must_fail("mounts over", path, ::mount("tmpfs", path.c_str(), "tmpfs", 0, nullptr));
    must_fail("binds over", path, ::mount("/tmp", path.c_str(), nullptr, MS_BIND, nullptr));
    must_fail("unmounts", path, ::umount2(path.c_str(), MNT_DETACH));
    must_fail("makes writable", path, ::mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | MS_BIND, nullptr));
  }
  return std::printf("tried %ld\n", tried) < 0;
}

/// terminal: types into the terminal it writes to.
int attack_terminal() {
  for (const int fd : {0, 1, 2}) {
    ::ioctl(fd, TIOCSCTTY, 1);
    for (const char* byte = "evil\n"; *byte != '\0'; ++byte)
      if (::ioctl(fd, TIOCSTI, byte) == 0) breach("types into descriptor %d", fd);
    char paste[2] = {3, 0};  // TIOCL_PASTESEL
    if (::ioctl(fd, TIOCLINUX, paste) == 0) breach("pastes into descriptor %d", fd);
  }
  ::ioctl(0, TIOCSTI,
          "x");  // into its own terminal, if it has one: some kernels would say no with EIO, ours with EPERM
  std::printf("TIOCSTI %s\n", std::strerror(errno));
  return std::printf("tty %s\n", std::strerror(::open("/dev/tty", O_RDWR) < 0 ? errno : 0)) < 0;
}

/// logs FOLDER: puts something else where output goes.
int attack_logs(const std::string& folder) {
  long tried = 0;
  const auto must_fail = [&](const char* what, const std::string& path, bool failed) {
    ++tried;
    if (!failed) breach("%s %s", what, path.c_str());
  };
  std::vector<std::string> paths = {folder};
  for (std::size_t i = 0; i < paths.size(); ++i)
    for (const std::string& name : names_in(paths[i])) paths.push_back(paths[i] + "/" + name);
  for (const std::string& path : paths) {
    must_fail("opens", path, ::open(path.c_str(), O_WRONLY | O_CLOEXEC) < 0);
    must_fail("truncates", path, ::truncate(path.c_str(), 0) != 0);
    must_fail("renames", path, ::rename(path.c_str(), (path + ".old").c_str()) != 0);
    must_fail("moves here", path, ::rename(path.c_str(), "stolen") != 0);
    must_fail("removes", path, ::unlink(path.c_str()) != 0 && ::rmdir(path.c_str()) != 0);
    must_fail("hard-links", path, ::link(path.c_str(), "linked") != 0);
    must_fail("hard-links beside", path, ::link(path.c_str(), (path + ".link").c_str()) != 0);
    must_fail("puts a fifo beside", path, ::mkfifo((path + ".fifo").c_str(), 0666) != 0);
    must_fail("puts a link beside", path, ::symlink("/etc/passwd", (path + ".1").c_str()) != 0);
    must_fail("changes the mode of", path, ::chmod(path.c_str(), 0777) != 0);
    must_fail("changes the owner of", path, ::chown(path.c_str(), 1234, 1234) != 0);
    must_fail("mounts over", path, ::mount("/tmp", path.c_str(), nullptr, MS_BIND, nullptr) != 0);
  }
  // Its own end of the pipe, by another door.
  must_fail("truncates", "its own output", ::ftruncate(1, 0) != 0);
  return std::printf("tried %ld\n", tried) < 0;
}

/// files: opens files until it may not; prints how many it had.
int open_many() {
  int count = 0;
  while (::open("/dev/null", O_RDONLY) >= 0) ++count;
  return std::printf("%d %s\n", count, std::strerror(errno)) < 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<int()>> acts = {
      {"devices", attack_devices},
      {"enter", attack_entering},
      {"exe", attack_programs},
      {"fds", tell_descriptors},
      {"files", open_many},
      {"kernel", attack_kernel_files},
      {"keys", attack_keys},
      {"logs", [&] { return argc > 2 ? attack_logs(argv[2]) : 1; }},
      {"mounts", attack_mount_points},
      {"release_agent", attack_release_agent},
      {"strangers", attack_strangers},
      {"terminal", attack_terminal},
      {"uid", [] { return std::printf("%u %u\n", ::getuid(), ::geteuid()) < 0; }},
  };
  const auto act = argc > 1 ? acts.find(argv[1]) : acts.end();
  return act == acts.end() ? 122 : act->second();
}
