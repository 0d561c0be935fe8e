// What tests of dewar-fetch against other programs of this host have in common.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/fetcher/fetch_rig.h"

namespace dewar {

/// A peer writes to folder_/log what it is asked.
class PeerTest : public testing::Test {
 protected:
  std::string log() const;
  /// The fetch has failed with these words, and left nothing.
  void expect_refused(const FetchOutcome& outcome, const std::string& words) const;
  /// folder_/cert and folder_/key, for 127.0.0.1.
  void make_certificate() const;
  /// Has the fetcher believe that certificate.
  void trust_certificate();
  /// A file of rig_'s credentials.
  void write_credential(const std::string& name, const std::string& text) const;

  const TempFolder folder_;
  FetchRig rig_;
};

}  // namespace dewar
