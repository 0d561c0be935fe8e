#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>

namespace dewar {

/// Gives the test's process a mount namespace of its own: what it mounts nobody else sees, and it sees nobody else's.
/// In a chroot(2) the root is no mount that could be made private (EINVAL); there the host's mounts are left as they
/// are.
inline void take_own_mounts() {
  ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
  const int made = ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  EXPECT_TRUE(made == 0 || errno == EINVAL) << errno;
}

}  // namespace dewar
