#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "agent/cli/doctor/check.h"
#include "agent/cli/paint.h"

namespace dewar {

/// A section after the other, a line for each check, what to do below it, and a verdict; at most `width` columns wide
/// where words can be broken.
std::string show_checks(const std::vector<Checked>& lines, const std::string& host, std::size_t width,
                        const Paint& paint);

/// The object that `dewar doctor -o json` prints (README, "What a host offers").
std::string checks_json(const std::vector<Checked>& lines, const std::string& host);

/// The worst that was found.
Health verdict(const std::vector<Checked>& lines);

}  // namespace dewar
