// A whole request: each artifact in turn, from the cache or from where it lies, to its place in the sandbox.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "fetcher/config.h"
#include "fetcher/request.h"

namespace dewar {

/// Told a line per artifact, for the process's log.
using FetchLog = std::function<void(const std::string& line)>;

/// Fetches everything that the request names; stops at the first artifact that fails. Errors: words that begin with the
/// process's name. As root, files are the request's user's; else the caller's, and there is no cache.
Result<std::vector<FetchedItem>> fetch(const FetchRequest& request, const FetchConfig& config, std::int32_t run,
                                       const FetchLog& log);

}  // namespace dewar
