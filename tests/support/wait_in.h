#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "base/unique_fd.h"

namespace dewar {

/// Waits until `wanted()` is true, which is asked whenever something in `folder` has been made, written to, renamed or
/// removed. False after a minute.
template <class Wanted>
bool wait_in(const std::string& folder, Wanted wanted) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  const UniqueFd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  // Before the first look, so that nothing happens between the two.
  constexpr unsigned kAnything = IN_CREATE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE;
  EXPECT_GE(::inotify_add_watch(watch.get(), folder.c_str(), kAnything), 0) << folder << ": errno " << errno;
  while (!wanted()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd changed{watch.get(), POLLIN, 0};
    if (left.count() <= 0 || ::poll(&changed, 1, static_cast<int>(left.count())) == 0) return false;
    char events[4096];
    while (::read(watch.get(), events, sizeof events) > 0) continue;
  }
  return true;
}

}  // namespace dewar
