// Landlock (landlock(7)): a wall that a process builds around itself and that no mount, bind or setuid takes down.
#pragma once

#include <string>
#include <vector>

namespace dewar {

/// The kernel's version of it; 0: it has none, or it was switched off.
int landlock_abi();

/// The first version that is of use: before, no file could be moved from one folder to another.
inline constexpr int kLandlockLeastAbi = 2;

/// From now on this process and all it starts can read and execute everything that it could, but write only beneath
/// `writable`; what is not there is passed over. Needs no_new_privs. Nothing happens on a kernel below
/// kLandlockLeastAbi. False, with errno, on an error.
bool forbid_writing_elsewhere(const std::vector<std::string>& writable);

}  // namespace dewar
