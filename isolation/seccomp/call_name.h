#pragma once

#include <string_view>

namespace dewar {

/// "sethostname" for its number on x86-64; empty if the table does not name it.
std::string_view call_name(int number);

}  // namespace dewar
