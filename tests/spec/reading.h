#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "thermos/spec/reader.h"

namespace dewar {

/// The task of a text that must be good; warnings are allowed.
inline TaskSpec task_of(const std::string& text) {
  TaskReading reading = read_task(text);
  EXPECT_TRUE(reading.spec.has_value()) << show_complaints("task", text, reading.complaints);
  return reading.spec ? std::move(*reading.spec) : TaskSpec{};
}

/// Everything that is wrong with a text, as "line:column: message"; a warning says so.
inline std::vector<std::string> complaints_of(const std::string& text) {
  std::vector<std::string> all;
  for (const Complaint& c : read_task(text).complaints) {
    all.push_back(std::to_string(c.line) + ":" + std::to_string(c.column) + ": " + (c.warning ? "warning: " : "") +
                  c.message);
  }
  return all;
}

/// A good process and what is to be read besides, from line 2 on.
inline std::string with_process(const std::string& more) {
  return "processes: [{name: p, cmdline: 'true'}]\n" + more + "\n";
}

}  // namespace dewar
