-- best: the best of several answers: hit or success, then miss or not stored, then an error that a backend gave, then a
-- timeout, then what could not be sent (res:rank()). Every handler that chooses between answers uses it.
--
--   best(answers [, also])   answers is a list; of equals the first in it wins, and `also` over all of them

return function(answers, also)
    local choice, rank = also, also and also:rank() or -1
    for i = 1, #answers do
        local n = answers[i]:rank()
        if n > rank then
            choice, rank = answers[i], n
        end
    end
    return choice
end
