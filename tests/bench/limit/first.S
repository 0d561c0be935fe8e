# The shortest program that can say when its first instruction ran: 8 bytes of CLOCK_MONOTONIC nanoseconds to stdout.
.globl _start
_start:
  sub $32, %rsp
  mov $228, %eax          # clock_gettime
  mov $1, %edi            # CLOCK_MONOTONIC
  mov %rsp, %rsi
  syscall
  mov (%rsp), %rax
  imul $1000000000, %rax
  add 8(%rsp), %rax
  mov %rax, 16(%rsp)
  mov $1, %eax            # write
  mov $1, %edi
  lea 16(%rsp), %rsi
  mov $8, %edx
  syscall
  mov $60, %eax           # exit
  xor %edi, %edi
  syscall
