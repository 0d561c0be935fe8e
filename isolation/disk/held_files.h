#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace dewar {

/// Bytes of the files of a device that have no name any more and that one of these processes still has open: they fill
/// the disk, and no folder lists them. Opens none of them. Looks at `most` descriptors at the most; what is only
/// mapped, or on its way through a socket, is not seen.
std::uint64_t bytes_held(const std::vector<pid_t>& processes, dev_t device, std::size_t most = 20'000);

}  // namespace dewar
