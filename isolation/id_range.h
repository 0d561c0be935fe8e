#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace dewar {

/// Who has a range of ids: it is theirs while `lives_in` exists and `ended_by` does not.
struct IdHolder {
  std::string lives_in, ended_by;
};

/// Ranges that no account, container manager or other task of this host uses: kIdCount ids each, between those that
/// systemd gives to containers and the negative numbers of old programs (systemd's UIDS-GIDS.md has the map).
inline constexpr std::uint32_t kFirstRange = 0x70000000, kEndOfRanges = 0x7FFE0000;

/// Reserves one for a user namespace and returns its first id (see ContainerRecipe). `holder.lives_in` must exist
/// already. Reservations are files in `folder`, below /run because they mean nothing after a reboot; those whose
/// holders are gone are removed by the next who comes, so nobody has to give one back. Safe against others that do the
/// same. Needs root. Errors: ENOSPC, when all are taken.
Result<std::uint32_t> reserve_id_range(const IdHolder& holder, const std::string& folder = "/run/dewar/ids");

}  // namespace dewar
