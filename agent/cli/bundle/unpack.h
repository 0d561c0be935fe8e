#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

/// Unpacks the bundle behind descriptor `archive` into the empty folder `target`, after giving up every right that this
/// does not need (fetcher/confine.h), for good. Errors: words; a bundle has plain files and folders alone.
Result<void> unpack_bundle(int archive, UniqueFd target);

}  // namespace dewar
