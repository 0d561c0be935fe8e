#include "isolation/id_range.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <functional>
#include <sstream>
#include <vector>

#include "base/files.h"
#include "isolation/launch_info.h"

namespace dewar {
namespace {

struct Span {
  std::uint64_t first, count;
};

/// What /etc/subuid and /etc/subgid give to others: "name:first:count" (subuid(5)).
std::vector<Span> given_away() {
  std::vector<Span> spans;
  for (const char* path : {"/etc/subuid", "/etc/subgid"}) {
    const auto text = read_file(path);
    std::istringstream lines(text ? *text : "");
    for (std::string line; std::getline(lines, line);) {
      const std::size_t colon = line.find(':');
      std::istringstream numbers(line.substr(colon == std::string::npos ? line.size() : colon + 1));
      Span span{};
      char separator = 0;
      if (numbers >> span.first >> separator >> span.count) spans.push_back(span);
    }
  }
  return spans;
}

bool overlaps(const std::vector<Span>& spans, std::uint64_t first) {
  for (const Span& span : spans) {
    if (first < span.first + span.count && span.first < first + kIdCount) return true;
  }
  return false;
}

bool is_held(const std::string& file) {
  const auto text = read_file(file);
  if (!text) return false;
  const std::size_t end = text->find('\n');
  if (end == std::string::npos) return false;  // its writer died
  return exists(text->substr(0, end)) && !exists(text->substr(end + 1));
}

}  // namespace

Result<std::uint32_t> reserve_id_range(const IdHolder& holder, const std::string& folder) {
  DEWAR_TRY(make_dirs(folder, 0700));
  const UniqueFd lock = DEWAR_TRY(open_file(folder + "/lock", O_RDWR | O_CREAT, 0600));
  if (retry_eintr([&] { return ::flock(lock.get(), LOCK_EX); }) != 0) return fail_errno("lock " + folder);
  const std::vector<Span> others = given_away();
  constexpr std::uint32_t kRanges = (kEndOfRanges - kFirstRange) / kIdCount;
  // Anywhere, so that the range of a task that has just ended, and whose files may still lie about, comes late again.
  const auto start = static_cast<std::uint32_t>(std::hash<std::string>()(holder.lives_in) % kRanges);
  for (const std::string& name : DEWAR_TRY(list_dir(folder))) {
    const std::string file = folder + "/" + name;
    if (name != "lock" && !is_held(file)) ::unlink(file.c_str());
  }
  for (std::uint32_t i = 0; i < kRanges; ++i) {
    const std::uint32_t first = kFirstRange + (start + i) % kRanges * kIdCount;
    const std::string file = folder + "/" + std::to_string(first);
    if (exists(file) || overlaps(others, first)) continue;
    DEWAR_TRY(replace_file(file, holder.lives_in + "\n" + holder.ended_by, 0600));
    return first;
  }
  return fail(std::errc::no_space_on_device, "reserve ids for a user namespace in " + folder);
}

}  // namespace dewar
