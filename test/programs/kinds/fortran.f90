! SPDX-License-Identifier: BSD-3-Clause
! Fortran: allocatable arrays, formatted and internal files, an array in a common block, the system clock.  MPI only through fortran_mpi.c.
! As worker.c otherwise.
module work
  use, intrinsic :: iso_fortran_env, only: int64, real64
  implicit none
  type cell
    real(real64), allocatable :: values(:)
  end type
contains
  recursive function depth(n) result(total)
    integer, intent(in) :: n
    integer :: total
    total = n
    if (n > 0) total = total + depth(n - 1)
  end function

  subroutine turn_over(cells, round)
    type(cell), intent(inout) :: cells(:)
    integer, intent(in) :: round
    integer :: i
    do i = 1 + mod(round, 3), size(cells), 3
      if (allocated(cells(i)%values)) deallocate (cells(i)%values)
      allocate (cells(i)%values(1 + mod(round * i * 31, 5000)))
      cells(i)%values = real(i, real64) / real(round, real64)
    end do
  end subroutine
end module

program fortran
  use work
  use, intrinsic :: iso_c_binding, only: c_int, c_double
  implicit none
  interface
    integer(c_int) function begin_ranks() bind(c)
      import :: c_int
    end function
    real(c_double) function sum_of_ranks(value) bind(c)
      import :: c_double
      real(c_double), value :: value
    end function
    subroutine end_ranks() bind(c)
    end subroutine
  end interface
  integer, parameter :: rounds = 100
  type(cell) :: cells(300)
  real(real64) :: grid(200, 200), total
  integer :: round, i, unit, rank
  integer(int64) :: before, now
  character(len=32) :: name
  logical :: there
  common /shared/ grid

  rank = begin_ranks()
  write (name, '("out.",i0)') rank
  open (newunit=unit, file=name, status='replace', action='write')
  grid = 1.0_real64 + real(rank, real64)
  call system_clock(before)
  do round = 1, rounds
    call turn_over(cells, round)
    do i = 1, 200
      grid(2:199, 2:199) = 0.25_real64 * (grid(1:198, 2:199) + grid(3:200, 2:199) &
        + grid(2:199, 1:198) + grid(2:199, 3:200)) + 1e-3_real64
    end do
    total = sum(grid)
    do i = 1, size(cells)
      if (allocated(cells(i)%values)) total = total + sum(cells(i)%values)
    end do
    total = sum_of_ranks(total)
    write (unit, '(i0,1x,es24.16,1x,i0)') round, total, depth(round)
    flush (unit)
  end do
  call system_clock(now)
  if (now < before) error stop 3
  do
    inquire (file='finish', exist=there)
    if (there) exit
  end do
  close (unit)
  call end_ranks()
end program
