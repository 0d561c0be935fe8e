#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/files.h"

namespace dewar {
namespace {

UniqueFd pidfd_open(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> list;
  for (const std::string& word : words) list.push_back(const_cast<char*>(word.c_str()));
  list.push_back(nullptr);
  return list;
}

}  // namespace

Result<ProcessId> identify(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const std::string stat = DEWAR_TRY(read_file(path));
  // The command name (field 2) may hold anything, so count fields from the last ')': field 3 follows it.
  const std::size_t close = stat.rfind(')');
  if (close == std::string::npos) return fail(std::errc::bad_message, "parse " + path);
  std::string_view rest = std::string_view(stat).substr(close + 1);
  for (int field = 2; field < 22; ++field) {
    const std::size_t space = rest.find(' ');
    if (space == std::string_view::npos) return fail(std::errc::bad_message, "parse " + path);
    rest.remove_prefix(space + 1);
  }
  ProcessId id{pid, 0};
  std::from_chars(rest.data(), rest.data() + rest.size(), id.start_ticks);
  return id;
}

Result<UniqueFd> open_process(const ProcessId& id) {
  const std::string who = "process " + std::to_string(id.pid);
  UniqueFd fd = pidfd_open(id.pid);
  if (!fd) return fail_errno("open " + who);
  // The descriptor pins the process; if the start time still matches now, it is the one we meant.
  const auto now = identify(id.pid);
  if (!now || *now != id) return fail(std::errc::no_such_process, "open " + who);
  return fd;
}

Result<UniqueFd> open_child(pid_t pid) {
  UniqueFd fd = pidfd_open(pid);
  if (!fd) return fail_errno("open child " + std::to_string(pid));
  return fd;
}

Result<void> send_signal(const UniqueFd& pidfd, int signal) {
  if (::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) != 0 && errno != ESRCH)
    return fail_errno("send signal " + std::to_string(signal));
  return {};
}

bool has_ended(const UniqueFd& pidfd) {
  pollfd watched{pidfd.get(), POLLIN, 0};
  return retry_eintr([&] { return ::poll(&watched, 1, 0); }) > 0;
}

Result<std::string> boot_id() {
  std::string id = DEWAR_TRY(read_file("/proc/sys/kernel/random/boot_id"));
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

Result<UniqueFd> open_read_only(const std::string& program) {
  UniqueFd file(::open_tree(AT_FDCWD, program.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (!file || ::mount_setattr(file.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
    return fail_errno("open " + program + " read-only");
  return file;
}

Result<pid_t> spawn(const Spawn& what) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                             (what.new_session ? POSIX_SPAWN_SETSID : 0)));
  // Sources may overlap the targets, so lift them all out of the way first.
  std::vector<UniqueFd> lifted;
  const int above = static_cast<int>(what.fds.size()) + 3;
  for (std::size_t i = 0; i < std::max<std::size_t>(what.fds.size(), 3); ++i) {
    const int target = static_cast<int>(i);
    if (i >= what.fds.size() || what.fds[i] < 0) {
      if (i < 3) ::posix_spawn_file_actions_addopen(&actions, target, "/dev/null", O_RDWR, 0);
      continue;
    }
    lifted.emplace_back(::fcntl(what.fds[i], F_DUPFD_CLOEXEC, above));
    ::posix_spawn_file_actions_adddup2(&actions, lifted.back().get(), target);
  }
  ::posix_spawn_file_actions_addclosefrom_np(&actions, static_cast<int>(std::max<std::size_t>(what.fds.size(), 3)));
  const auto argv = pointers(what.argv), env = pointers(what.env);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, what.program.c_str(), &actions, &attributes, argv.data(), env.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) return fail({error, std::generic_category()}, "start " + what.program);
  return pid;
}

}  // namespace dewar
