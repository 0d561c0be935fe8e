// Limits as one line of words, "cpu=1.5 memory=134217728 io.write_bps=0": what `<run>/limits` and the request `limits`
// of the control socket hold. Sizes are bytes, 0 and an empty value mean no limit. docs/formats.md has the table.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "isolation/sandbox_spec.h"

namespace dewar {

/// Every limit, in a fixed order.
std::string limits_text(const Limits& limits);

/// Changes those limits in `to` that `text` names. Errors: words for an unknown name or a value that is none or out of
/// range; `to` is then unchanged.
Result<void> read_limits_text(std::string_view text, Limits& to);

/// The limits of a run as the kernel held them when they were last set. Errors: of open(2); words for a damaged file.
Result<Limits> read_limits(const std::string& run_folder);
Result<void> write_limits(const std::string& run_folder, const Limits& limits);

}  // namespace dewar
