#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace dewar {

/// {"CAP_NET_BIND_SERVICE"} -> 1 << 10. Upper or lower case, "CAP_" may be left out. Errors: words that quote the name.
Result<std::uint64_t> parse_capabilities(const std::vector<std::string>& names);

}  // namespace dewar
