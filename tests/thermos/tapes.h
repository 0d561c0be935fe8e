// Checkpoint trees that Thermos's own runner wrote (tests/tapes/README.md).
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/files.h"

namespace dewar::tapes {

inline std::string root() { return std::string(DEWAR_SOURCE) + "/tests/tapes/thermos"; }

/// Where the larger collection is, if the environment names it; empty otherwise.
inline std::string fixtures() {
  const char* folder = std::getenv("DEWAR_TAPES");
  return folder ? std::string(folder) + "/thermos-checkpoints/upstream-fixtures" : "";
}

/// Every stream below `<tree>/checkpoints`, runner and coordinator files alike.
inline std::vector<std::string> streams(const std::string& tree) {
  std::vector<std::string> paths;
  const auto tasks = list_dir(tree + "/checkpoints");
  if (!tasks) return paths;
  for (const std::string& task : *tasks) {
    const auto files = list_dir(tree + "/checkpoints/" + task);
    if (!files) continue;  // not a folder
    for (const std::string& file : *files) paths.push_back(tree + "/checkpoints/" + task + "/" + file);
  }
  return paths;
}

inline std::string content(const std::string& path) {
  auto bytes = read_file(path);
  if (bytes) return *bytes;
  ADD_FAILURE() << bytes.error().message();
  return "";
}

/// The payloads of a whole stream.
inline std::vector<std::string> payloads(const std::string& stream) {
  std::vector<std::string> out;
  std::size_t at = 0;
  while (at + 4 <= stream.size()) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(stream[at + i]);
    out.push_back(stream.substr(at + 4, length));
    at += 4 + length;
  }
  EXPECT_EQ(at, stream.size());
  return out;
}

}  // namespace dewar::tapes
