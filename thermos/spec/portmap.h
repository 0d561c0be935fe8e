#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dewar {

/// "8080" -> 8080; nothing unless it is a number from 1 to 65535.
std::optional<std::int64_t> port_number(const std::string& text);

/// Follows every alias to its end: {https: aurora, aurora: http, http: 80} -> 80 for all. A target that is no key stays
/// a name. Returns each cycle in words, "a -> b -> a"; its ports are left out.
std::vector<std::string> resolve_portmap(std::map<std::string, std::string>& portmap);

}  // namespace dewar
