#pragma once

#include <string>
#include <vector>

#include "base/json_writer.h"
#include "isolation/sandbox_spec.h"

namespace dewar {

/// The object that `dewar run -o json` and `dewar limits -o json` have: null for no limit, sizes in bytes. Left open,
/// for what a caller adds.
void put_limits(JsonWriter& json, const Limits& limits);

/// One line a limit, aligned; "none" where there is none.
std::vector<std::string> limits_lines(const Limits& limits);

/// Those there are, in one line: "cpu 0.5, ram 2.0 GB, no swap, pids 50". Empty: none.
std::string limits_words(const Limits& limits);

}  // namespace dewar
