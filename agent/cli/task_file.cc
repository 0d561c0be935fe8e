#include "agent/cli/task_file.h"

#include <unistd.h>

#include "base/files.h"

namespace dewar {

Result<TaskFile> load_task_file(const std::string& path) {
  constexpr std::size_t kEnough = 2u << 20;  // the reader itself refuses what is larger than 1 MiB, in better words
  const bool standard_input = path == "-";
  TaskFile file;
  file.name = standard_input ? "<stdin>" : path;
  file.text = DEWAR_TRY(standard_input ? read_all(STDIN_FILENO, file.name, kEnough) : read_file(path, kEnough));
  file.reading = read_task(file.text);
  return file;
}

void tell_complaints(const TaskFile& file) {
  // Nobody is left to tell if standard error is gone.
  (void)write_all(STDERR_FILENO, show_complaints(file.name, file.text, file.reading.complaints), "standard error");
}

}  // namespace dewar
