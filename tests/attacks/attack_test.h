// A sandbox with a hostile program in it.
#pragma once

#include <gmock/gmock.h>

#include "tests/isolation/kernel_fixture.h"

namespace dewar {

/// The attacker is tests/testcases/attack.cc, as ./attack in the sandbox folder.
class AttackTest : public ContainerTest {
 protected:
  void SetUp() override;

  /// Runs one act as `uid`: root (0) or an ordinary user.
  Ended attack(const Container& container, const std::string& act, uid_t uid) {
    return run(container, "./attack " + act, uid);
  }
  /// Ends acts that go on until they are told to stop; the host's view of the sandbox folder.
  void tell_to_stop();
};

constexpr uid_t kSomebody = 1234;

/// The lines that tell of something that worked.
std::string breaches(const std::string& output);

}  // namespace dewar
