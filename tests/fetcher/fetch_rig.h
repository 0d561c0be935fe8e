// dewar-fetch as the runner starts it, against servers that a test starts.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "fetcher/request.h"
#include "tests/fetcher/fetch_fixture.h"
#include "tests/support/temp_folder.h"

namespace dewar {

/// A program that serves until the end of the test; it has printed a line, such as its port.
class Server {
 public:
  explicit Server(const std::vector<std::string>& argv, bool waits_for_line = true);
  Server(const Server&) = delete;
  ~Server();
  const std::string& line() const { return line_; }

 private:
  pid_t pid_ = -1;
  UniqueFd input_, output_;
  std::string line_;
};

/// How many of the lines that a server has been asked hold `words`.
int asked(const OddServer& server, const std::string& words);

struct FetchOutcome {
  int exit = -1;
  std::string out, err;
  FetchStatus status;
};

/// One sandbox with its own cache and its own fetch.conf, whose times are short.
class FetchRig {
 public:
  FetchRig();
  FetchRequest request(const std::vector<Artifact>& artifacts) const;
  FetchOutcome fetch(const std::vector<Artifact>& artifacts) { return run(request(artifacts)); }
  FetchOutcome fetch(const std::string& uri);
  FetchOutcome run(const FetchRequest& request);
  /// Starts it without waiting; its output goes to `log`.
  pid_t start(const FetchRequest& request, const std::string& log);
  /// A line of fetch.conf.
  void configure(const std::string& line);

  std::string sandbox() const { return folder_ / "sandbox"; }
  std::string cache() const { return folder_ / "cache"; }
  std::string config() const { return folder_ / "fetch.conf"; }
  std::string path(const std::string& name) const { return folder_ / name; }
  /// A file of the sandbox; "<missing>" if it is not there.
  std::string file(const std::string& name) const;
  /// Everything in the sandbox, with hidden names.
  std::vector<std::string> names() const;

 private:
  TempFolder folder_;
  std::string lines_;
  int runs_ = 0;
};

Artifact artifact(const std::string& uri, const std::string& sha256 = "");

}  // namespace dewar
