#pragma once

#include <string_view>
#include <vector>

namespace dewar {

/// The numbers in a list of processors as the kernel has it, "0-3,8" (cpuset(7), "List format"); empty if it is none.
std::vector<int> parse_cpu_list(std::string_view text);

}  // namespace dewar
