// What a reader has to find in a folder that a FakePump has written: said in the simplest way, byte by byte, from what
// is kept in memory.
#pragma once

#include <string>
#include <vector>

#include "tests/logs/fake_pump.h"
#include "thermos/logs/log_item.h"

namespace dewar {

/// An item, with a text of its own.
struct Told {
  std::string process = "p";
  bool line = true;
  OutputStream stream = OutputStream::kStdout;
  std::optional<std::int64_t> time = {};
  std::uint64_t position = 0, end = 0;
  std::string text = {};
  bool continued = false, unfinished = false;
  Missing cause = Missing::kRemoved;
  std::uint64_t missing = 0;
  std::optional<std::uint64_t> other = {};  ///< the cursor's; not compared
  std::size_t event = 0;                    ///< of the model: which record it came with; not compared
  bool operator==(const Told& same) const;
};
std::ostream& operator<<(std::ostream& out, const Told& told);
Told told(const LogItem& item);

/// All of it, from the start.
std::vector<Told> model_of(const FakePump& pump, bool out = true, bool err = true, const std::string& process = "p");
/// Several processes, in this order: always the one whose next item is the earliest.
std::vector<Told> merged(std::vector<std::vector<Told>> all);

}  // namespace dewar
