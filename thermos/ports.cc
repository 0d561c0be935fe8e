#include "thermos/ports.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "base/files.h"

namespace dewar {
namespace {

constexpr std::int64_t kFirstPort = 31000, kLastPort = 32000;
using Ports = std::map<std::string, std::int64_t>;

/// Nobody listens on this TCP port, on any address, at this moment.
bool is_free(std::int64_t port) {
  const UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd) {
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(static_cast<std::uint16_t>(port));
    return ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0;
  }
  const UniqueFd v4(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(static_cast<std::uint16_t>(port));
  return v4 && ::bind(v4.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0;
}

/// A reservation's file: the run folder, the task's id, then the numbers, a line each.
struct Held {
  std::string run_folder, task_id;
  std::vector<std::int64_t> numbers;
};

Held parse(const std::string& text) {
  Held held;
  std::istringstream lines(text);
  std::getline(lines, held.run_folder);
  std::getline(lines, held.task_id);
  for (std::int64_t number = 0; lines >> number;) held.numbers.push_back(number);
  return held;
}

/// A run that is being prepared locks its file; later it has a folder, in which the task's end shows.
bool is_living(const UniqueFd& file, const Held& held) {
  if (::flock(file.get(), LOCK_SH | LOCK_NB) != 0) return true;
  ::flock(file.get(), LOCK_UN);
  return exists(held.run_folder) && !exists(held.run_folder + "/checkpoints/tasks/finished/" + held.task_id);
}

/// What living runs hold; the files of others are removed. The caller has the folder's lock.
std::set<std::int64_t> held_ports(const std::string& folder) {
  std::set<std::int64_t> all;
  const auto names = list_dir(folder);
  for (const std::string& name : names ? *names : std::vector<std::string>{}) {
    const std::string path = folder + "/" + name;
    const auto file = open_file(path, O_RDONLY | O_NOFOLLOW);
    const auto text = file ? read_all(file->get(), path) : Result<std::string>(fail("unreadable"));
    if (!text || name == ".lock") continue;
    const Held held = parse(*text);
    if (is_living(*file, held)) {
      all.insert(held.numbers.begin(), held.numbers.end());
    } else {
      ::unlink(path.c_str());
    }
  }
  return all;
}

Result<void> check_given(const PortReservation::Request& request) {
  for (const auto& [name, port] : request.given) {
    if (std::ranges::find(request.names, name) == request.names.end())
      return fail("the task has no port '" + name + "'");
    if (port < 1 || port > 65535) return fail("port '" + name + "': " + std::to_string(port) + " is not in 1-65535");
  }
  return {};
}

Result<Ports> choose(const PortReservation::Request& request, std::set<std::int64_t> used) {
  Ports ports = request.given;
  for (const auto& [name, port] : ports) used.insert(port);
  std::int64_t next = kFirstPort + ::getpid() % (kLastPort - kFirstPort);  // who restarts gets other ones
  for (const std::string& name : request.names) {
    if (ports.contains(name)) continue;
    std::int64_t tries = kLastPort - kFirstPort;
    while (tries > 0 && (used.contains(next) || !is_free(next))) {
      next = next + 1 < kLastPort ? next + 1 : kFirstPort;
      --tries;
    }
    if (tries == 0) return fail("no port is free between 31000 and 31999 for '" + name + "'; name one with --port");
    ports[name] = next;
    used.insert(next);
  }
  return ports;
}

}  // namespace

Result<PortReservation> PortReservation::allot(const Request& request, const std::string& folder) {
  DEWAR_TRY(check_given(request));
  if (request.names.empty()) return PortReservation({}, {});
  DEWAR_TRY(make_dirs(folder, 0700));
  const UniqueFd lock = DEWAR_TRY(open_file(folder + "/.lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (retry_eintr([&] { return ::flock(lock.get(), LOCK_EX); }) != 0) return fail_errno("lock " + folder);
  Ports ports = DEWAR_TRY(choose(request, held_ports(folder)));

  const std::string path = folder + "/" + request.container_id;
  UniqueFd file = DEWAR_TRY(open_file(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return fail_errno("lock " + path);
  std::string text = request.run_folder + "\n" + request.task_id + "\n";
  for (const auto& [name, port] : ports) text += std::to_string(port) + "\n";
  DEWAR_TRY(write_all(file.get(), text, path));
  return PortReservation(std::move(ports), std::move(file));
}

}  // namespace dewar
