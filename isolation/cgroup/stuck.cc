#include "isolation/cgroup/stuck.h"

#include "base/cgroup_members.h"
#include "base/files.h"

namespace dewar {
namespace {

/// The functions of the kernel that a process is in, innermost first, as /proc/<pid>/stack has them: "[<0>]
/// name+0x1/0x2".
std::string stack_of(const std::string& folder) {
  constexpr int kMost = 8;
  const auto text = read_file(folder + "/stack");
  std::string words;
  int count = 0;
  for (std::size_t at = 0; text && (at = text->find("] ", at)) != std::string::npos && count < kMost; ++count) {
    at += 2;
    words += (count == 0 ? "" : " < ") + text->substr(at, text->find_first_of("+\n", at) - at);
  }
  return words;
}

/// "pid (name) state …"; a name may hold anything, also ')'.
std::string describe(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const auto stat = read_file(folder + "/stat");
  const std::size_t open = stat ? stat->find('(') : std::string::npos, close = stat ? stat->rfind(')') : open;
  if (open == std::string::npos || close == std::string::npos || close + 2 >= stat->size()) return "";
  std::string words =
      stat->substr(open + 1, close - open - 1) + " (pid " + std::to_string(pid) + ", state " + (*stat)[close + 2] + ")";
  const auto where = read_file(folder + "/wchan");
  if (where && !where->empty() && *where != "0") words += " in " + *where;
  if (const std::string stack = stack_of(folder); !stack.empty()) words += " [" + stack + "]";
  return words;
}

}  // namespace

std::vector<std::string> describe_members(const std::string& folder, std::size_t most) {
  std::vector<std::string> all;
  const auto pids = members(folder);
  for (const pid_t pid : pids ? *pids : std::vector<pid_t>{}) {
    if (all.size() == most) break;
    if (std::string words = describe(pid); !words.empty()) all.push_back(std::move(words));
  }
  return all;
}

}  // namespace dewar
