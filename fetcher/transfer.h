// One try to get the bytes of one URI. Runs in a process of its own that has no rights (fetcher/parts.h): it is the
// only one that reads the network, and nobody believes what it says about the bytes.
#pragma once

#include <string>

#include "fetcher/transfer_order.h"

namespace dewar {

/// Writes the bytes to `out`, a pipe or a file. Does not throw; all that went wrong is in the result, without secrets.
TransferResult transfer(const TransferOrder& order, const FetchConfig& config, int out,
                        const TransferProgress& progress);

/// `words` with every secret of the order, and what stands behind a '?' of its URI, replaced by "***".
std::string without_secrets(std::string words, const TransferOrder& order);

}  // namespace dewar
