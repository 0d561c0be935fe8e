#pragma once

#include <string>

#include "base/result.h"
#include "thermos/spec/reader.h"

namespace dewar {

/// A task file as a command was given it.
struct TaskFile {
  std::string name;  ///< as complaints show it; "<stdin>" for "-"
  std::string text;
  TaskReading reading;
};

/// Reads and checks a task file, or standard input for "-". Errors: those of reading; what is wrong with the task
/// itself is in `reading`.
Result<TaskFile> load_task_file(const std::string& path);

/// Shows a person what is wrong with it, on standard error; nothing if nothing is.
void tell_complaints(const TaskFile& file);

}  // namespace dewar
