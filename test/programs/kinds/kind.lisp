; SPDX-License-Identifier: BSD-3-Clause
; A Lisp whose heap lies at fixed addresses: a collector that gives memory back and takes it for empty, write barriers by SIGSEGV, a stack
; that ends at a guard page, threads that it stops by signals.  As worker.c otherwise.
(defvar *kept* (make-hash-table))
(defun mix (state rounds)
  (declare (fixnum state rounds))
  (dotimes (i rounds state) (setf state (mod (+ (* state 31) i) 1000003))))
(defun deep (n) (if (= n 0) 0 (+ 1 (deep (- n 1)))))
(mapc #'compile '(mix deep))

(with-open-file (out "out.0" :direction :output :if-exists :supersede)
  (let ((state 1))
    (loop for round from 1 to 100 do
      (let* ((before state)
             (thread (sb-thread:make-thread (lambda () (mix before 200000))))
             (own (mix (+ state 1) 200000)))
        (setf state (logxor own (sb-thread:join-thread thread)))
        (dotimes (i 1000) (setf (gethash (mod (+ (* round 7) i) 5000) *kept*) (make-string 100)))
        (when (= 0 (mod round 5)) (sb-ext:gc :full (= 0 (mod round 10))))
        (format out "~a ~a ~a ~a ~a ~a~%" round state (hash-table-count *kept*)
                (handler-case (car (read-from-string "1")) (type-error () 'caught))
                (handler-case (deep 100000000) (storage-condition () 'exhausted))
                (mod (expt 3 (+ 1000 round)) 1000007))
        (finish-output out)))))
(loop until (probe-file "finish") do (sleep 0.002))
(sb-ext:exit :code 0 :abort t)
