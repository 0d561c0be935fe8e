#include "base/cpu_list.h"

#include <charconv>
#include <iterator>

namespace dewar {

std::vector<int> parse_cpu_list(std::string_view text) {
  constexpr int kMost = 8192;  // the largest kernels know of
  std::vector<int> list;
  while (text.ends_with('\n')) text.remove_suffix(1);
  const char *at = text.data(), *const end = at + text.size();
  while (at < end) {
    int first = 0, last = 0;
    auto read = std::from_chars(at, end, first);
    if (read.ec != std::errc() || first < 0) return {};
    last = first;
    if (read.ptr < end && *read.ptr == '-') read = std::from_chars(read.ptr + 1, end, last);
    if (read.ec != std::errc() || last < first || last >= kMost) return {};
    for (int cpu = first; cpu <= last && std::ssize(list) <= kMost; ++cpu) list.push_back(cpu);
    at = read.ptr;
    if (at == end) return list;
    if (*at++ != ',' || at == end) return {};
  }
  return list;
}

}  // namespace dewar
