#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "fetcher/request.h"
#include "tests/support/temp_folder.h"

namespace dewar {

/// tests/support/odd_server.py, ended with this object. Its port differs from run to run.
class OddServer {
 public:
  /// With both: TLS.
  explicit OddServer(const std::string& certificate = "", const std::string& key = "");
  OddServer(const OddServer&) = delete;
  OddServer& operator=(const OddServer&) = delete;
  ~OddServer();

  std::string uri(const std::string& path) const;
  std::string host() const { return "127.0.0.1:" + port_; }
  /// What it was asked for, a line each: METHOD PATH RANGE AUTHORIZATION.
  std::vector<std::string> log() const;
  /// Waits until it has been asked for this path so many times; after a minute the test has failed.
  void wait_until_asked(const std::string& path, int times) const;

  /// The bytes behind a name (odd_server.py).
  static std::string content(const std::string& name, int version = 1);

 private:
  std::string scheme_, port_;
  pid_t pid_ = -1;
  UniqueFd input_;
};

/// Runs dewar-fetch, as root for the user nobody and else as the caller, with short time limits and a cache of its own.
class FetchTest : public ::testing::Test {
 protected:
  FetchTest();

  struct End {
    int status = -1;
    std::string out, err;
  };
  /// From any thread; status() is then anybody's.
  End run(const std::vector<Artifact>& artifacts);
  End run(const Artifact& artifact) { return run(std::vector{artifact}); }
  /// Without the cache.
  static Artifact artifact(const std::string& uri);

  /// A line for the operator's file.
  void configure(const std::string& line);

  std::string in_sandbox(const std::string& path) const { return temp_ / "sandbox/" + path; }
  std::string content_of(const std::string& path) const;
  std::vector<std::string> names() const;  ///< in the sandbox, hidden ones too
  FetchStatus status() const;              ///< as the last run has left it

  const TempFolder temp_;

 private:
  std::atomic<int> runs_ = 0;
};

/// Runs a program to its end and returns its standard output; a failure fails the test.
std::string output_of(const std::vector<std::string>& argv);

}  // namespace dewar
